"""What the groups of keypoints promise: order, number and neighbours change nothing."""

from dataclasses import replace

import pytest
import torch

from superlink.testing.decoder_calls import emptied
from superlink_mmpose.config import GroupPoseConfig

from .conftest import TINY, draw_call, links_of


def inputs_of(decoder, calls, *, training=True):
    return decoder.collate([decoder.prepare(call, training=training) for call in calls])


def losses_of(decoder, calls):
    """In training, where denoising takes part."""
    return decoder.train().loss(links_of(calls), inputs_of(decoder, calls))


def found_by(decoder, calls):
    decoder.eval()
    bare = [replace(call, target=None) for call in calls]
    return decoder.predict(links_of(calls), inputs_of(decoder, bare, training=False))


def with_keypoints(call, order):
    """The call with some of its keypoints, in another order."""
    first = call.tokens.index("[KPT]")
    names = [call.phrases[first + index] for index in order]
    target = dict(call.target)
    target |= {
        "keypoints": target["keypoints"][:, order],
        "keypoints_visible": target["keypoints_visible"][:, order],
        "keypoint_set": target["keypoint_set"].part(names),
    }
    return replace(
        call,
        tokens=call.tokens[:first] + ("[KPT]",) * len(order),
        phrases=(*call.phrases[:first], *names),
        target=target,
    )


def test_the_order_of_keypoints_is_the_order_of_the_result(decoder):
    made, call, order = decoder(), draw_call(2, num_keypoints=4), [2, 0, 3, 1]
    (plain,), (moved,) = found_by(made, [call]), found_by(made, [with_keypoints(call, order)])
    assert moved.keypoint_set.names == tuple(f"joint {index}" for index in order)
    assert torch.allclose(moved.keypoints, plain.keypoints[:, order], atol=1e-3)
    assert torch.allclose(moved.keypoint_scores, plain.keypoint_scores[:, order], atol=1e-5)
    one, two = losses_of(made, [call]), losses_of(made, [with_keypoints(call, order)])
    assert {name: float(value.detach()) for name, (value, _) in two.items()} == pytest.approx(
        {name: float(value.detach()) for name, (value, _) in one.items()}, rel=1e-4, abs=1e-4
    )


@pytest.mark.parametrize("number", [0, 1, 100])
def test_any_number_of_keypoints_can_be_asked_for(decoder, number):
    made, call = decoder(), draw_call(1, num_keypoints=number)
    losses = losses_of(made, [call])
    assert all(value.isfinite() for value, _ in losses.values())
    assert losses["loss_keypoints"][1] == number
    (found,) = found_by(made, [call])
    assert found.keypoints.shape == (len(found.bboxes), number, 2)


def test_a_request_beside_a_longer_one_gives_what_it_gives_alone(decoder):
    made = decoder()
    calls = [draw_call(1, 1, num_keypoints=2), draw_call(3, 2, num_keypoints=9)]
    for alone, beside in zip(
        [found_by(made, [call])[0] for call in calls], found_by(made, calls), strict=True
    ):
        assert torch.allclose(alone.keypoints, beside.keypoints, atol=1e-3)
        assert torch.allclose(alone.scores, beside.scores, atol=1e-5)


def test_an_instance_without_labelled_keypoints_teaches_its_box_alone(decoder):
    call = draw_call(1, num_keypoints=3)
    hidden = replace(call, target={**call.target, "keypoints_visible": torch.zeros(1, 3)})
    losses = losses_of(decoder(num_denoising_queries=0), [hidden])
    for name in ("loss_keypoints", "loss_oks", "loss_keypoint_score"):
        assert losses[name] == (0.0, 0.0)
    assert losses["loss_pose_bbox"][0] > 0


def test_the_count_of_keypoint_losses_is_what_is_labelled(decoder):
    calls = [draw_call(2, 0, num_keypoints=3), draw_call(1, 1, num_keypoints=2)]
    some = torch.tensor([[2.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    calls[0] = replace(calls[0], target={**calls[0].target, "keypoints_visible": some})
    losses = losses_of(decoder(), calls)
    assert losses["loss_keypoints"][1] == 4 and losses["dn_loss_keypoints"][1] == 4
    assert losses["loss_oks"][1] == 2
    assert losses["loss_pose_iou"][1] == 3


def test_names_of_losses_do_not_depend_on_targets(decoder):
    call = draw_call(2, num_keypoints=3)
    full, empty = (losses_of(decoder(), [one]) for one in (call, emptied(call)))
    assert set(full) == set(empty)
    assert all(value.isfinite() and count == 0 for value, count in empty.values())


def test_first_copies_are_found_whatever_stands_beside(decoder):
    """Images with one, three and no targets have their own numbers of groups."""
    made = decoder()
    calls = [draw_call(1, 0), draw_call(1, 1, per_route=3), emptied(draw_call(1, 2))]
    together, alone = losses_of(made, calls), [losses_of(made, [call]) for call in calls]
    for name, (value, count) in together.items():
        torch.testing.assert_close(value, sum(one[name][0] for one in alone), rtol=1e-4, atol=1e-5)
        assert count == sum(one[name][1] for one in alone)


@pytest.mark.parametrize(
    ("setting", "losses"),
    [
        ("loss_keypoints", ["loss_keypoints", "dn_loss_keypoints"]),
        ("loss_oks", ["loss_oks", "dn_loss_oks"]),
        ("loss_keypoint_score", ["loss_keypoint_score", "dn_loss_keypoint_score"]),
        ("loss_iou", ["loss_pose_iou", "dn_loss_pose_iou", "loss_iou"]),
    ],
)
def test_each_weight_of_the_config_weighs_its_losses_and_no_others(decoder, setting, losses):
    call, plain = draw_call(2), getattr(GroupPoseConfig(), setting)
    before, after = (
        losses_of(decoder(**{setting: weight}), [call]) for weight in (plain, 3 * plain)
    )
    grown = {
        name
        for name, (value, _) in after.items()
        if not torch.isclose(value, before[name][0], rtol=1e-4)
    }
    assert grown >= set(losses)
    assert all(name.endswith(setting.removeprefix("loss_")) for name in grown)
    for name in losses:
        assert torch.isclose(after[name][0], 3 * before[name][0], rtol=1e-4)


def test_keypoints_decide_which_of_two_boxes_stands_for_a_target(decoder):
    from superlink_mmdet.library import TASK_UTILS, InstanceData
    from superlink_mmdet.matching import Targets
    from superlink_mmpose.matching import PoseLayer, match_poses, pose_costs

    boxes = torch.tensor([[[0.5, 0.5, 0.4, 0.4], [0.5, 0.5, 0.4, 0.4]]])
    points = torch.tensor([[[[0.3, 0.3]], [[0.7, 0.7]]]])
    wanted = InstanceData(
        bboxes=torch.tensor([[30.0, 30, 70, 70]]),
        labels=torch.tensor([0]),
        keypoints=torch.tensor([[[70.0, 70.0]]]),
        labelled=torch.ones(1, 1),
        units=torch.full((1, 1), 8.0),
        sizes=torch.tensor([40.0]),
    )
    assigner = TASK_UTILS.build(
        {"type": "HungarianAssigner", "match_costs": pose_costs(GroupPoseConfig())}
    )
    targets = Targets(
        (wanted,), ((100, 100),), torch.full((1, 4), 100.0), torch.ones(1, 1).bool(), None
    )
    pairs = match_poses(PoseLayer(torch.zeros(1, 2, 1), boxes, keypoints=points), targets, assigner)
    assert pairs.queries[0].tolist() == [1]


def test_the_gradient_reaches_the_links_of_instances_and_of_keypoints(decoder):
    calls = [draw_call(2, 0, num_keypoints=3), draw_call(1, 1, num_keypoints=1)]
    made, links = decoder(), links_of(calls)
    links = replace(links, states=links.states.requires_grad_())
    losses = made.loss(links, inputs_of(made, calls))
    torch.stack([value for value, _ in losses.values()]).sum().backward()
    assert (links.states.grad.abs().sum(1) > 0).all()


def test_masks_are_refused():
    with pytest.raises(ValueError, match="Poses come without masks"):
        GroupPoseConfig(**TINY | {"masks": True})


def test_some_steps_find_the_keypoints_of_one_picture(decoder):
    torch.manual_seed(0)
    made, call = decoder(), draw_call(1, 3, num_keypoints=3)
    links, inputs = links_of([call]), inputs_of(made, [call])
    optimiser = torch.optim.AdamW(made.parameters(), lr=2e-3)
    for _ in range(60):
        losses = made.train().loss(links, inputs)
        optimiser.zero_grad()
        torch.stack([value for value, _ in losses.values()]).sum().backward()
        torch.nn.utils.clip_grad_norm_(made.parameters(), 1.0)
        optimiser.step()
    (found,) = found_by(made.eval(), [call])
    errors = (found.keypoints[0] - call.target["keypoints"][0]).norm(dim=-1)
    assert errors.max() < 5, errors
