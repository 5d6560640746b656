"""mmpose's heads for any keypoints: theirs where keypoints are fixed, and the same for each."""

import pytest
import torch

from superlink.errors import ConfigError
from superlink_mmpose.library import MODELS
from superlink_mmpose.simcc import CropNetwork, _head_settings
from superlink_mmpose.top_down_config import TopDownConfig

from .crops import TINY_CROPS

SIMCC = {"type": "SimCCHead", "deconv_out_channels": None}
DECONV = {"type": "SimCCHead", "deconv_out_channels": (8,), "deconv_kernel_sizes": (4,)}
HEADS = {
    "rtmcc": TINY_CROPS["head"],
    "simcc": SIMCC,
    "dark": TINY_CROPS["head"] | {"gau_cfg": TINY_CROPS["head"]["gau_cfg"] | {"act_fn": "ReLU"}},
}
K = 6


def network(head=None, **changes):
    torch.manual_seed(0)
    settings = TINY_CROPS | {"head": head or TINY_CROPS["head"], "embed_dims": K} | changes
    return CropNetwork(TopDownConfig(**settings)), TopDownConfig(**settings)


def theirs(ours, config):
    """mmpose's own head with K fixed keypoints and the weights of ours, whose channels they are."""
    sizes = {"final_layer_kernel_size": 3}
    if config.head["type"] == "SimCCHead":
        sizes = {"final_layer": {"kernel_size": 3, "padding": 1}}
    own = MODELS.build(_head_settings(config) | {"out_channels": K} | sizes)
    weights = {
        name.replace("final_layer.conv", "final_layer"): value
        for name, value in ours.head.state_dict().items()
    }
    own.load_state_dict(weights)
    return own


def sample(keypoints, visible, own):
    from superlink_mmdet.library import InstanceData

    labels = own.decoder.encode(keypoints[None].numpy(), visible[None].numpy())
    one = InstanceData()
    for name, value in labels.items():
        one[name] = torch.as_tensor(value)
    return type("Sample", (), {"gt_instance_labels": one})()


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_step_equals_that_of_mmpose_own_head_with_as_many_fixed_keypoints(head):
    ours, config = network(head)
    with torch.no_grad():
        for weight in ours.head.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
    own = theirs(ours, config)
    maps, fixed = torch.randn(3, 32, 4, 3), torch.eye(K).expand(3, -1, -1)
    points = torch.rand(3, K, 2) * torch.tensor([48.0, 64.0])
    visible = (torch.rand(3, K) > 0.3).float()
    steps = []
    for one in (ours, own):
        optimizer = torch.optim.SGD(one.parameters(), lr=1.0)
        if one is ours:
            loss = one.loss(maps, fixed, one.encode(points, visible)) / K
        else:
            samples = [sample(p, v, own) for p, v in zip(points, visible, strict=True)]
            loss = own.loss((maps,), samples)["loss_kpt"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        steps.append(loss.item())
    assert steps[0] == pytest.approx(steps[1], rel=1e-6)
    after = theirs(ours, config).state_dict()
    for name, value in own.state_dict().items():
        torch.testing.assert_close(after[name], value, atol=1e-6, rtol=1e-4)
    keypoints, _ = ours.decode(maps, fixed)
    logits = own((maps,))
    assert torch.equal(keypoints[..., 0], logits[0].argmax(-1) / 2)
    assert torch.equal(keypoints[..., 1], logits[1].argmax(-1) / 2)


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_points_of_zeros_change_no_other_point_and_get_no_gradient_to_weights(head):
    ours, _ = network(head)
    maps, points = torch.randn(2, 32, 4, 3), torch.randn(2, 3, K)
    filled = torch.cat([points, torch.zeros(2, 4, K)], dim=1)
    labels = ours.encode(torch.rand(2, 3, 2) * 40, torch.ones(2, 3))
    more = [torch.cat([one, torch.zeros(2, 4, *one.shape[2:])], dim=1) for one in labels]
    gradients = []
    for some, wanted in ((points, labels), (filled, more)):
        ours.zero_grad()
        loss = ours.loss(maps, some, wanted)
        loss.backward()
        gradients.append([loss.detach(), *(p.grad for p in ours.head.parameters())])
    for alone, beside in zip(*gradients, strict=True):
        torch.testing.assert_close(alone, beside, atol=1e-6, rtol=1e-4)


def test_unlabelled_points_cost_nothing_wherever_they_are():
    ours, _ = network()
    maps, points = torch.randn(1, 32, 4, 3), torch.randn(1, 2, K)
    visible = torch.tensor([[1.0, 0.0]])
    one, other = (
        ours.loss(maps, points, ours.encode(torch.tensor([[[20.0, 20.0], place]]), visible))
        for place in ([0.0, 0.0], [33.0, 61.0])
    )
    assert one.item() == other.item() > 0
    nothing = ours.encode(torch.zeros(1, 2, 2), torch.zeros(1, 2))
    assert ours.loss(maps, points, nothing).item() == 0


def test_points_far_outside_of_a_crop_count_as_unlabelled():
    ours, _ = network()
    places = torch.tensor([[[20.0, 20.0], [300.0, 20.0], [-90.0, 20.0]]])
    assert ours.encode(places, torch.ones(1, 3))[2].tolist() == [[1, 0, 0]]


@pytest.mark.parametrize("sigma", [2.0, [3.0, 4.0]])
@pytest.mark.parametrize("use_dark", [False, True])
def test_perfect_prediction_is_found_with_score_one_and_flat_one_with_a_low_one(sigma, use_dark):
    ours, _ = network(codec={"sigma": sigma, "use_dark": use_dark})
    place = torch.tensor([[[24.0, 32.0]]])
    x, y, _ = ours.encode(place, torch.ones(1, 1))
    shift = torch.tensor(-7.0)  # a softmax does not see it, mmpose's maximum would
    ours.head.forward = lambda _: (x * ours.head.loss_module.label_beta / 10 + shift, y + shift)
    keypoints, scores = ours.decode(torch.zeros(1, 32, 4, 3), torch.zeros(1, 1, K))
    torch.testing.assert_close(keypoints, place, atol=0.3, rtol=0)
    assert scores.item() == pytest.approx(1, abs=1e-4)
    ours.head.forward = lambda _: (torch.zeros_like(x), y)
    assert ours.decode(torch.zeros(1, 32, 4, 3), torch.zeros(1, 1, K))[1].item() < 0.15


@pytest.mark.parametrize(
    ("head", "codec", "words"),
    [
        (DECONV, {}, "map itself"),
        ({"type": "HeatmapHead"}, {}, "build the head.*input_size"),
        ({"type": "NoHead"}, {}, "build the head.*NoHead"),
        (SIMCC | {"loss": {"type": "KLDiscretLoss", "use_target_weight": False}}, {}, "use_target"),
        (SIMCC | {"loss": {"type": "KLDiscretLoss", "mask": [0]}}, {}, "mask"),
        (SIMCC, {"decode_visibility": True}, "decode_visibility"),
        (
            TINY_CROPS["head"] | {"gau_cfg": TINY_CROPS["head"]["gau_cfg"] | {"pos_enc": True}},
            {},
            "pos_enc",
        ),
    ],
)
def test_head_that_counts_keypoints_is_refused(head, codec, words):
    with pytest.raises(ConfigError, match=words):
        network(head, codec=codec)


def test_map_of_another_size_is_refused_with_the_settings_to_change():
    made, _ = network(in_channels=16)
    with pytest.raises(ConfigError, match=r"\(16, 4, 3\).*\(32, 4, 3\).*out_indices"):
        made.maps(torch.zeros(1, 3, 64, 48))
