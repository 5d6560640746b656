"""Columns of instances: numbers that lose nothing, masks that come back, parts that are joined."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superlink.data.rle import decode_segmentation
from superlink.errors import MissingDependencyError
from superlink.evaluation.metrics.columns import (
    encode_masks,
    join_columns,
    plain_numbers,
    read_instances,
)

floats = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False))


@given(floats)
def test_numbers_of_32_bits_come_back_the_same(values):
    array = np.asarray(values, np.float32)
    back = np.asarray(json.loads(json.dumps(plain_numbers(array))), np.float32)
    np.testing.assert_array_equal(back, array)


@given(floats)
def test_short_numbers_keep_their_order(values):
    array = np.asarray(values, np.float32)
    order = np.argsort(array, kind="stable")
    np.testing.assert_array_equal(np.argsort(plain_numbers(array), kind="stable"), order)


def test_numbers_are_short():
    assert plain_numbers(np.float32([[0.1, 640.7]])) == [[0.1, 640.7]]
    assert plain_numbers(np.float64([1 / 3])) == [1 / 3]
    assert plain_numbers(np.zeros((0, 4), np.float32)) == []


@pytest.mark.parametrize("kind", [np.bool_, np.uint8, np.float32])
def test_masks_come_back(kind):
    masks = np.random.default_rng(0).random((3, 7, 5)) < 0.4
    masks[2] = False
    found = encode_masks(masks.astype(kind))
    assert all(text.isascii() for text in found)
    for text, mask in zip(found, masks, strict=True):
        np.testing.assert_array_equal(
            decode_segmentation({"size": [7, 5], "counts": text}, 7, 5), mask
        )
    assert encode_masks(masks[:0]) == []


def test_soft_masks_are_true_above_one_half():
    soft = np.array([[[0.4, 0.5, 0.6]]])
    assert encode_masks(soft) == encode_masks(soft == 0.6)


def test_missing_pycocotools_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(MissingDependencyError, match=r"superlink\[eval\]"):
        encode_masks(np.zeros((1, 2, 2), bool))


def test_parts_keep_what_all_of_them_know():
    one = {"labels": [0], "bboxes": [[0, 0, 1, 1]], "areas": [1.0], "masks": ["a"]}
    two = {"labels": [1], "bboxes": [[0, 0, 2, 2]], "masks": ["b"]}
    none = {"labels": [], "bboxes": []}
    assert join_columns([one, none, two]) == {
        **{"labels": [0, 1], "bboxes": [[0, 0, 1, 1], [0, 0, 2, 2]]},
        "masks": ["a", "b"],
    }
    assert join_columns([none]) == join_columns([]) == none


def test_instances_without_a_class_are_left_out():
    columns = {"labels": [0, 1], "bboxes": [[0, 0, 1, 1], [0, 0, 2, 2]], "scores": [0.5, 0.6]}
    (found,) = read_instances(columns, [None, "cat"], 3)
    assert (found.image, found.category, found.score) == (3, "cat", 0.6)
    assert found.mask is None
