import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from superlink.errors import InputError
from superlink.interfaces import Geometry
from superlink_mmdet.config import GroundingDinoConfig
from superlink_mmdet.predictions import instances
from superlink_mmdet.samples import image_tensor, instance_targets, stream_size


def with_target(call, **target):
    return dataclasses.replace(call, target=target)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"bboxes": torch.zeros(0, 4)}, "labels"),
        ({"bboxes": [[1.0, 2, 3]], "labels": [0]}, r"\(N, 4\)"),
        ({"bboxes": [[1.0, 2, 3, float("nan")]], "labels": [0]}, "finite"),
        ({"bboxes": [[1.0, 2, 3, float("inf")]], "labels": [0]}, "finite"),
        ({"bboxes": [[5.0, 2, 5, 9]], "labels": [0]}, "x2 > x1"),
        ({"bboxes": [[1.0, 2, 3, 4]], "labels": [2]}, "0 to 1"),
        ({"bboxes": [[1.0, 2, 3, 4]], "labels": [-1]}, "0 to 1"),
        ({"bboxes": [[1.0, 2, 3, 4]], "labels": [0.0]}, "integers"),
        ({"bboxes": [[1.0, 2, 3, 4]], "labels": [0, 1]}, "integers"),
        ({"bboxes": [[1.0, 2, 3, 4]], "labels": []}, "integers"),
    ],
)
def test_target_that_cannot_be_used_is_refused(call, target, message):
    given_call = with_target(call(), **target)
    with pytest.raises(InputError, match=message):
        instance_targets(given_call, given_call.geometry)


def test_targets_that_are_empty_keep_their_shapes(call):
    made = instance_targets(with_target(call(), bboxes=[], labels=[]), call().geometry)
    assert made["bboxes"].shape == (0, 4)
    assert made["labels"].shape == (0,)
    assert made["labels"].dtype == torch.long


def test_targets_outside_of_a_crop_are_cut_or_dropped(call):
    cropped = Geometry.identity((64, 64)).cropped((0, 0, 32, 32))
    made = instance_targets(call([[8.0, 8, 40, 24], [40.0, 40, 60, 60]], [1, 0]), cropped)
    assert made["bboxes"].tolist() == [[8, 8, 32, 24]]
    assert made["labels"].tolist() == [1]


def test_image_tensor_is_normalised(call, config):
    settings = config(pixel_mean=(0, 0, 0), pixel_std=(255, 255, 255))
    image = call().image
    made = image_tensor(image, (64, 64), settings)
    expected = torch.tensor(list(image.tobytes())).view(64, 64, 3).permute(2, 0, 1) / 255
    torch.testing.assert_close(made, expected)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((480, 640), (800, 1056)), ((640, 480), (1056, 800)), ((100, 1000), (128, 1344))],
)
def test_stream_keeps_ratio_up_to_the_divisor(config, size, expected):
    settings = config(keep_ratio=True, image_size=(800, 1333))
    assert stream_size(size, settings) == expected


def test_stream_of_fixed_size_ignores_the_image(config):
    assert stream_size((10, 999), config()) == (64, 64)


@settings(max_examples=50, deadline=None)
@given(
    size=st.tuples(st.integers(8, 500), st.integers(8, 500)),
    stream=st.tuples(st.integers(8, 300), st.integers(8, 300)),
    corner=st.tuples(st.floats(0, 0.8), st.floats(0, 0.8)),
    share=st.floats(0.1, 1),
    mirrored=st.booleans(),
    padding=st.integers(0, 50),
)
def test_prediction_made_from_the_target_comes_back(size, stream, corner, share, mirrored, padding):
    height, width = size
    start = torch.tensor([corner[0] * width, corner[1] * height])
    end = start + share * (torch.tensor([width, height]) - start)
    target = torch.cat([start, end])[None]
    geometry = Geometry.identity(size).padded((height + padding, width))
    geometry = geometry.mirrored() if mirrored else geometry
    geometry = geometry.resized(stream)
    box = geometry.boxes_to_stream(target) / torch.tensor([*stream[::-1], *stream[::-1]])
    centred = torch.cat([(box[:, :2] + box[:, 2:]) / 2, box[:, 2:] - box[:, :2]], dim=-1)
    found = instances(torch.zeros(1, 1), centred, geometry, ("thing",), GroundingDinoConfig())
    torch.testing.assert_close(found.bboxes, target, atol=1e-2, rtol=1e-4)


def test_instances_are_sorted_thresholded_and_thinned():
    logits = torch.tensor([[3.0, -9.0], [2.0, -9.0], [-9.0, 1.0]])
    boxes = torch.tensor([[0.5, 0.5, 0.4, 0.4], [0.5, 0.5, 0.4, 0.42], [0.5, 0.5, 0.4, 0.4]])
    config = GroundingDinoConfig(score_threshold=0.1, nms_iou=0.7)
    found = instances(logits, boxes, Geometry.identity((10, 10)), ("a", "b"), config)
    assert found.labels.tolist() == [0, 1]
    torch.testing.assert_close(found.scores, torch.tensor([3.0, 1.0]).sigmoid())


def test_instances_respect_the_limit():
    config = GroundingDinoConfig(max_per_image=2)
    boxes = torch.full((5, 4), 0.5)
    found = instances(torch.randn(5, 3), boxes, Geometry.identity((8, 8)), ("a",) * 3, config)
    assert len(found.scores) == 2


@pytest.mark.parametrize("family", ["grounding_dino", "deformable_detr"])
def test_pixels_of_the_mean_colour_are_no_padding(decoder, call, link, monkeypatch, family):
    made = decoder(keep_ratio=True, image_size=(64, 128), pixel_mean=(0, 0, 0))
    wide, square = call(size=(64, 128)), call(size=(64, 64))
    wide = dataclasses.replace(wide, image=Image.new("RGB", (128, 64)))  # black: all zeros
    seen, encode = [], made.detector.forward_encoder
    monkeypatch.setattr(
        made.detector,
        "forward_encoder",
        lambda **inputs: seen.append(inputs["feat_mask"]) or encode(**inputs),
    )
    for calls in ([wide, square], [wide]):
        items = [made.prepare(one, training=False) for one in calls]
        found = made.predict(link([2] * len(calls)), made.collate(items))
        assert all(one.bboxes.isfinite().all() for one in found)
    together, alone = seen
    assert not together[0].any() and together[1].any()
    assert alone is None or not alone.any()
