"""Overlaps of boxes and masks, and the metrics of regions that are built on them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from superlink.evaluation.metrics import (
    box_cover,
    box_iou,
    mask_overlap,
    match_boxes,
    matched_f1,
    pair_boxes,
    region_metrics,
)

BOX, HALF, FAR = [0, 0, 10, 10], [0, 0, 10, 5], [50, 50, 60, 60]
numbers = st.integers(0, 60)
boxes = st.lists(
    st.tuples(numbers, numbers, st.integers(1, 40), st.integers(1, 40)).map(
        lambda b: [float(b[0]), float(b[1]), float(b[0] + b[2]), float(b[1] + b[3])]
    ),
    min_size=1,
    max_size=4,
)


@given(boxes, boxes)
def test_box_overlaps_are_those_of_pycocotools(first, second):
    one, other = (np.array([[a, b, c - a, d - b] for a, b, c, d in v]) for v in (first, second))
    plain, crowd = (coco_mask.iou(one, other, [flag] * len(other)) for flag in (0, 1))
    np.testing.assert_allclose(box_iou(first, second), plain, atol=1e-12)
    np.testing.assert_allclose(box_cover(first, second), crowd, atol=1e-12)


def test_boxes_without_area_overlap_nothing():
    assert box_iou([[3, 3, 3, 9]], [BOX]).tolist() == [[0.0]]
    assert box_cover([[3, 3, 3, 9]], [BOX]).tolist() == [[0.0]]


def test_no_boxes_give_empty_tables():
    assert box_iou([], [BOX]).shape == (0, 1)
    assert box_iou([BOX], []).shape == (1, 0)


def test_each_truth_is_matched_once_and_ignored_regions_excuse():
    found = [BOX, BOX, [51, 51, 59, 59], [30, 30, 40, 40]]
    assert match_boxes([BOX], [FAR], found) == [1, 0, -1, 0]


def test_found_boxes_choose_truths_in_their_order():
    near = [0, 0, 10, 8]
    assert pair_boxes([BOX, near], [near, BOX]) == [1, 0]
    assert pair_boxes([BOX, near], [near, near]) == [1, 0]
    assert pair_boxes([BOX, FAR], [FAR, HALF, BOX]) == [1, 0]
    assert pair_boxes([BOX], [HALF], threshold=0.51) == [-1]
    assert pair_boxes([], [BOX]) == [] and pair_boxes([BOX], []) == [-1]


def test_a_truth_goes_before_an_ignored_region():
    assert match_boxes([BOX], [BOX], [BOX, BOX, BOX]) == [1, -1, -1]


@pytest.mark.parametrize(
    ("truths", "ignored", "found", "wanted"),
    [
        ([], [], [], 1.0),
        ([], [], [BOX], 0.0),
        ([BOX], [], [], 0.0),
        ([BOX, FAR], [], [BOX], 2 / 3),
        ([BOX], [], [BOX, FAR], 2 / 3),
        ([BOX], [FAR], [BOX, FAR], 1.0),
        ([BOX], [], [HALF], 0.0),
    ],
)
def test_f1_counts_the_missed_and_the_wrong(truths, ignored, found, wanted):
    assert matched_f1(truths, ignored, found) == pytest.approx(wanted)


def test_void_pixels_are_in_neither_intersection_nor_union():
    first, second, void = (np.zeros((4, 4), bool) for _ in range(3))
    first[:2], second[1:3], void[:, 0] = True, True, True
    assert mask_overlap(first, second) == (4, 12)
    assert mask_overlap(first, second, void) == (3, 9)


def test_region_metrics_weigh_pixels_or_images():
    found = region_metrics([(90, 100), (1, 10)], [True, True])
    assert found == pytest.approx({"cIoU": 91 / 110, "gIoU": 0.5, "mIoU": 0.5})


def test_nothing_to_find_and_nothing_found_is_right():
    found = region_metrics([(5, 10), (0, 0), (0, 40)], [True, False, False])
    assert found == pytest.approx({"cIoU": 5 / 50, "gIoU": 0.5, "mIoU": 0.5})
    assert "mIoU" not in region_metrics([(0, 0)], [False])


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2**16 - 1)), min_size=1, max_size=5))
def test_region_metrics_follow_lisa(given_masks):
    """As intersectionAndUnion of LISA's validation: gIoU adds 1 where the union is empty."""
    rng = np.random.default_rng(0)
    pairs = []
    for empty, bits in given_masks:
        truth = np.zeros(16, bool) if empty else np.array([bits >> i & 1 for i in range(16)], bool)
        pairs.append((truth, truth & (rng.random(16) < 0.7)))
    shared = [int((a & b).sum()) for a, b in pairs]
    whole = [int((a | b).sum()) for a, b in pairs]
    per_image = [i / (u + 1e-5) + (u == 0) for i, u in zip(shared, whole, strict=True)]
    found = region_metrics(list(zip(shared, whole, strict=True)), [True] * len(pairs))
    assert found["gIoU"] == pytest.approx(np.mean(per_image), abs=2e-5)
    if sum(whole):
        assert found["cIoU"] == pytest.approx(sum(shared) / sum(whole))
