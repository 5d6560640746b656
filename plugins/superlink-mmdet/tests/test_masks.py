import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from superlink.errors import InputError
from superlink.interfaces import Geometry
from superlink_mmdet import masks as module
from superlink_mmdet.masks import original_masks, query_masks, stream_masks
from superlink_mmdet.samples import instance_targets


def blobs(size, number=2, seed=0):
    """Masks (N, H, W) with smooth outlines."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(1, number, 4, 4, generator=generator)
    return torch.nn.functional.interpolate(coarse, size, mode="bicubic")[0] > 0


def logits_of(masks):
    return masks.float() * 2 - 1


def iou(left, right):
    return float((left & right).sum() / (left | right).sum())


def test_identity_changes_no_pixel():
    masks = blobs((37, 53))
    assert torch.equal(stream_masks(masks, Geometry.identity((37, 53))), masks)
    assert torch.equal(original_masks(logits_of(masks), Geometry.identity((37, 53))), masks)


@settings(max_examples=50, deadline=None)
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    padding=st.integers(0, 9),
    mirrored=st.booleans(),
    factor=st.integers(1, 3),
)
def test_mask_comes_back_from_a_stream_that_loses_nothing(size, padding, mirrored, factor):
    masks = torch.rand(2, *size, generator=torch.Generator().manual_seed(0)) < 0.5
    geometry = Geometry.identity(size).padded((size[0] + padding, size[1]))
    geometry = geometry.mirrored() if mirrored else geometry
    height, width = geometry.size
    stream = stream_masks(masks, geometry.resized((height * factor, width * factor)))
    assert stream.sum() == masks.sum() * factor**2
    back = original_masks(logits_of(stream[:, ::factor, ::factor]), geometry)
    assert torch.equal(back, masks)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("stream", [(64, 64), (200, 300), (96, 48)])
def test_mask_survives_a_resize_but_for_its_outline(mirrored, stream):
    masks = blobs((120, 160))
    geometry = Geometry.identity((120, 160))
    geometry = (geometry.mirrored() if mirrored else geometry).resized(stream)
    back = original_masks(logits_of(stream_masks(masks, geometry)), geometry)
    assert min(map(iou, back, masks)) > 0.93


def test_flip_and_crop_move_pixels_as_they_move_those_of_the_image():
    masks = blobs((20, 30))
    geometry = Geometry.identity((20, 30))
    assert torch.equal(stream_masks(masks, geometry.mirrored()), masks.flip(-1))
    cropped = stream_masks(masks, geometry.cropped((5, 4, 25, 26)))
    assert torch.equal(cropped[:, :16], masks[:, 4:, 5:25])
    assert not cropped[:, 16:].any()  # below the original


def test_what_a_cropped_stream_does_not_show_is_no_mask():
    geometry = Geometry.identity((20, 30)).cropped((10, 0, 30, 20))
    (found,) = original_masks(torch.ones(1, 5, 5), geometry)
    assert found[:, 10:].all()
    assert not found[:, :10].any()


def test_outline_of_coarse_logits_lies_where_they_cross_zero():
    centres = torch.arange(16) * 4 + 2.0
    logits = (centres - 29).expand(1, 16, 16)
    (found,) = original_masks(logits, Geometry.identity((64, 64)))
    assert torch.equal(found, (torch.arange(64) + 0.5 > 29).expand(64, 64))


def test_masks_in_chunks_are_those_at_once(monkeypatch):
    logits = torch.randn(7, 8, 8)
    geometry = Geometry.identity((30, 20)).resized((32, 32))
    whole = original_masks(logits, geometry)
    monkeypatch.setattr(module, "_CHUNK", 1300)  # two masks
    assert torch.equal(original_masks(logits, geometry), whole)


def test_query_that_serves_several_routes_gives_its_mask_to_each():
    embeddings, pixels = torch.randn(5, 4), torch.randn(4, 8, 8)
    geometry = Geometry.identity((8, 8))
    found = query_masks(embeddings, pixels, geometry, torch.tensor([3, 1, 3]))
    expected = torch.einsum("nc,chw->nhw", embeddings[[3, 1, 3]], pixels) > 0
    assert torch.equal(found, expected)
    assert query_masks(embeddings, pixels, geometry, torch.arange(0)).shape == (0, 8, 8)


def test_targets_have_the_masks_of_visible_boxes(call):
    given_call = call([[8.0, 8, 24, 24], [40.0, 40, 60, 60]], [0, 1], masks=True)
    geometry = given_call.geometry.cropped((0, 0, 32, 32)).resized((64, 64))
    made = instance_targets(given_call, geometry, with_masks=True)
    assert made["masks"].shape == (1, 64, 64)
    assert made["masks"][0, 16:48, 16:48].all()
    assert made["masks"].sum() == 32 * 32


@pytest.mark.parametrize("numbers", ["uint8", "list"])
def test_masks_may_be_whole_numbers(call, numbers):
    given_call = call([[8.0, 8, 24, 24]], [0], masks=True)
    masks = given_call.target["masks"]
    other = masks.byte() * 255 if numbers == "uint8" else masks.tolist()
    changed = dataclasses.replace(given_call, target=given_call.target | {"masks": other})
    made = instance_targets(changed, call().geometry, with_masks=True)["masks"]
    assert torch.equal(made, masks)


def test_target_without_masks_is_told_from_one_without_instances(call):
    boxes_only = instance_targets(call([[8.0, 8, 24, 24]], [0]), call().geometry, with_masks=True)
    assert boxes_only["masks"] is None
    nothing = dataclasses.replace(call(), target={"bboxes": [], "labels": [], "masks": []})
    assert instance_targets(nothing, call().geometry, with_masks=True)["masks"].shape == (0, 64, 64)
    assert "masks" not in instance_targets(call(), call().geometry)


@pytest.mark.parametrize(
    "masks",
    [
        torch.zeros(1, 64, 64, dtype=torch.bool),
        torch.zeros(2, 64, 32, dtype=torch.bool),
        torch.zeros(64, 64, dtype=torch.bool),
        torch.zeros(2, 64, 64),
        torch.zeros(0, 64, 64, dtype=torch.bool),
    ],
)
def test_masks_that_do_not_fit_are_refused(call, masks):
    plain = call([[8.0, 8, 24, 24], [40.0, 40, 60, 60]], [0, 1], key="cat 7")
    wrong = dataclasses.replace(plain, target=plain.target | {"masks": masks})
    with pytest.raises(InputError, match=r"\(2, 64, 64\).*cat 7"):
        instance_targets(wrong, plain.geometry, with_masks=True)
