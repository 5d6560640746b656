import pytest

from superlink.errors import ConfigError

# of mmdet's Swin transformer, which says that it starts without weights
pytestmark = pytest.mark.filterwarnings("ignore:The 'warn' method is dep:DeprecationWarning")
BOXES = [[4.0, 4, 30, 40], [20.0, 10, 60, 60]]
MAPPER = {
    "type": "ChannelMapper",
    "in_channels": [16, 32, 64],
    "kernel_size": 1,
    "out_channels": 64,
    "act_cfg": None,
    "bias": True,
    "norm_cfg": {"type": "GN", "num_groups": 32},
    "num_outs": 3,
}
SWIN = {
    "type": "SwinTransformer",
    "embed_dims": 8,
    "depths": (1, 1, 1, 1),
    "num_heads": (1, 2, 2, 4),
    "window_size": 4,
    "drop_path_rate": 0.0,
    "out_indices": (1, 2, 3),
}
MOBILE = {"type": "MobileNetV2", "widen_factor": 0.25, "out_indices": (2, 4, 6)}


def fpn(*in_channels, **changes):
    options = {"in_channels": list(in_channels), "out_channels": 64, "num_outs": 3}
    return {"type": "FPN"} | options | changes


def with_finer_map(backbone):
    return backbone | {"out_indices": (0, *backbone["out_indices"])}


CASES = {
    "swin_fpn": {"backbone": SWIN, "in_channels": (16, 32, 64), "neck": fpn(16, 32, 64)},
    "swin_mapper": {"backbone": SWIN, "in_channels": (16, 32, 64)},
    "mobilenet_pafpn": {
        "backbone": MOBILE,
        "in_channels": (8, 24, 80),
        "neck": fpn(8, 24, 80, type="PAFPN", num_outs=4),
        "num_levels": 4,
    },
    "more_maps_than_levels": {
        "backbone": with_finer_map(SWIN),
        "in_channels": (8, 16, 32, 64),
        "neck": fpn(8, 16, 32, 64, start_level=2, num_outs=2),
        "num_levels": 2,
    },
}
families = pytest.mark.parametrize("family", ["grounding_dino", "deformable_detr"])
cases = pytest.mark.parametrize("changes", CASES.values(), ids=CASES)


def inputs_of(made, calls, training):
    return made.collate([made.prepare(call, training=training) for call in calls])


@families
@cases
def test_gradient_reaches_any_backbone_and_neck(decoder, call, link, changes):
    made = decoder(**changes).train()
    losses = made.loss(link([2]), inputs_of(made, [call(BOXES, [0, 1])], training=True))
    sum(value for value, _ in losses.values()).backward()
    for part in (made.detector.backbone, made.detector.neck):
        first, *_ = (parameter for parameter in part.parameters() if parameter.requires_grad)
        assert first.grad.abs().sum() > 0


@cases
def test_any_backbone_and_neck_see_a_padded_image_as_they_see_it_alone(
    decoder, call, link, part, changes
):
    made = decoder(**changes, keep_ratio=True, image_size=(64, 128))
    calls, links = [call(size=size) for size in ((64, 128), (64, 64))], link([2, 2])
    together = made.predict(links, inputs_of(made, calls, training=False))
    for index, one in enumerate(calls):
        (alone,) = made.predict(part(links, index), inputs_of(made, [one], training=False))
        assert (together[index].scores - alone.scores).abs().max() < 1e-4
        assert (together[index].bboxes - alone.bboxes).abs().max() < 64e-4


def test_without_a_neck_there_is_a_channel_mapper(fresh):
    plain, given = (fresh(neck=neck).state_dict() for neck in (None, MAPPER))
    assert list(plain) == list(given)
    assert all(plain[name].equal(given[name]) for name in plain)
    assert "detector.neck.convs.2.gn.weight" in plain


def test_finer_map_for_masks_goes_past_the_neck(fresh, call, link):
    made = fresh(masks=True, neck=fpn(16, 32, 64)).eval()
    features = made.detector.image_features([made.prepare(call(), training=False)["image"]])
    assert [one.shape[1:3] for one in features] == [(8, 16), (64, 8), (64, 4), (64, 2)]
    (found,) = made.predict(link([2]), inputs_of(made, [call()], training=False))
    assert found.masks.shape[1:] == (64, 64)


@pytest.mark.parametrize(
    ("changes", "received"),
    [({"out_channels": 32}, r"\(32, 32, 32\)"), ({"num_outs": 4}, r"\(64, 64, 64, 64\)")],
)
def test_neck_that_does_not_fit_is_refused(fresh, call, link, changes, received):
    made = fresh(neck=fpn(16, 32, 64, **changes))
    with pytest.raises(ConfigError, match=rf"num_levels=3 .*embed_dims=64 .*channels={received}"):
        made.predict(link([2]), inputs_of(made, [call()], training=False))
