"""Masks in COCO's forms: there and back, as pycocotools reads them, and no crash on any bytes."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from superlink.data.rle import decode_segmentation, decode_segmentation_json, encode_mask
from superlink.errors import InputError, MissingDependencyError

masks = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=20))
numbers = st.floats(width=32) | st.integers(-(10**12), 10**12) | st.floats(-30, 60)


def _square(*corners, height=8, width=10):
    mask = np.zeros((height, width), np.bool_)
    y1, y2, x1, x2 = corners
    mask[y1:y2, x1:x2] = True
    return mask


@given(masks)
def test_run_lengths_there_and_back(mask):
    assert (decode_segmentation(encode_mask(mask), *mask.shape) == mask).all()


@given(masks)
def test_compressed_run_lengths_are_those_of_pycocotools(mask):
    coco_mask = pytest.importorskip("pycocotools.mask")
    encoded = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    size, counts = [int(side) for side in encoded["size"]], encoded["counts"]
    for text in (counts, counts.decode()):
        decoded = decode_segmentation({"size": size, "counts": text}, *mask.shape)
        assert (decoded == mask).all()


def test_polygons_are_united():
    pytest.importorskip("pycocotools")
    squares = [[1, 2, 5, 2, 5, 5, 1, 5], [4, 4, 8, 4, 8, 6, 4, 6]]
    expected = _square(2, 5, 1, 5) | _square(4, 6, 4, 8)
    assert (decode_segmentation(squares, 8, 10) == expected).all()


def test_polygon_outside_of_the_image_is_an_empty_mask():
    pytest.importorskip("pycocotools")
    mask = decode_segmentation([[50, 50, 60, 50, 60, 60]], 8, 10)
    assert mask.shape == (8, 10) and not mask.any()


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        ("text", "list of polygons"),
        (None, "list of polygons"),
        ({"counts": [80]}, "list of polygons"),
        ([], "at least one polygon"),
        ([[1, 2, 3, 4]], "3 points or more"),
        ([[1, 2, 3, 4, 5, 6, 7]], "3 points or more"),
        ([1, 2, 3, 4, 5, 6], "3 points or more"),
        ([[1, 2, 3, 4, 5, "x"]], "3 points or more"),
        ([[1, 2, 3, 4, 5, 10**400]], "3 points or more"),
        ([[1, 2, 3, 4, 5, float("nan")]], "too far out"),
        ([[1, 2, 3, 4, 5, 1e300]], "too far out"),
        ([[0, 0, 9e7, 0, 9e7, 9e7]], "boundary"),
        ({"size": [10, 8], "counts": [80]}, "image's size"),
        ({"size": 80, "counts": [80]}, "image's size"),
        ({"size": [8, 10], "counts": [79]}, "fill the image"),
        ({"size": [8, 10], "counts": [-1, 81]}, "fill the image"),
        ({"size": [8, 10], "counts": []}, "fill the image"),
        ({"size": [8, 10], "counts": [2**62] * 4 + [80]}, "fill the image"),
        ({"size": [8, 10], "counts": [79.5, 0.5]}, "whole numbers"),
        ({"size": [8, 10], "counts": ["80"]}, "whole numbers"),
        ({"size": [8, 10], "counts": [80, [0]]}, "whole numbers"),
        ({"size": [8, 10], "counts": [10**30]}, "whole numbers"),
        ({"size": [8, 10], "counts": ""}, "damaged"),
        ({"size": [8, 10], "counts": "P"}, "damaged"),
        ({"size": [8, 10], "counts": "\u20ac\ud800"}, "damaged"),
        ({"size": [8, 10], "counts": "PPPPPPPPPPPPPPP0"}, "damaged"),
        ({"size": [8, 10], "counts": b"11"}, "fill the image"),
    ],
)
def test_segmentation_that_is_unusable_is_refused(segmentation, reason):
    with pytest.raises(InputError, match=reason):
        decode_segmentation(segmentation, 8, 10)


@pytest.mark.parametrize("text", [b"", b"null", b"[]"])
def test_json_of_nothing_is_no_mask(text):
    assert decode_segmentation_json(text, 8, 10) is None


@pytest.mark.parametrize("text", [b'"x"', b"{}", b'{"size": [8, 10], "counts": null}', b"[[1,"])
def test_json_of_no_segmentation_is_refused(text):
    with pytest.raises(InputError, match="list of polygons"):
        decode_segmentation_json(text, 8, 10)


@settings(max_examples=300)
@given(masks, st.data())
def test_any_compressed_text_is_a_mask_or_an_error(mask, data):
    coco_mask = pytest.importorskip("pycocotools.mask")
    size, text = list(mask.shape), coco_mask.encode(np.asfortranarray(mask, np.uint8))["counts"]
    place = data.draw(st.integers(0, len(text)))
    changed = text[:place] + data.draw(st.binary(max_size=2)) + text[place + 1 :]
    try:
        found = decode_segmentation({"size": size, "counts": changed}, *size)
    except InputError:
        return
    assert (np.asarray(coco_mask.decode({"size": size, "counts": changed})) == found).all()


@settings(max_examples=300)
@given(st.lists(st.lists(numbers, max_size=12), max_size=3), st.integers(1, 30))
def test_any_polygons_are_a_mask_or_an_error(polygons, height):
    pytest.importorskip("pycocotools")
    try:
        mask = decode_segmentation(polygons, height, 7)
    except InputError:
        return
    assert mask.shape == (height, 7) and mask.dtype == np.bool_


def test_polygons_without_pycocotools_name_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(MissingDependencyError, match=r"superlink\[eval\]"):
        decode_segmentation([[1, 2, 5, 2, 5, 5]], 8, 10)
