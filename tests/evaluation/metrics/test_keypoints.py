"""Precision by OKS is that of pycocotools for each class; errors of points are counted by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from superlink.evaluation.metrics import (
    COCO_SIGMAS,
    Instance,
    average_precision,
    keypoint_precision,
    point_errors,
    point_metrics,
)

NAN = math.nan


def _people(seed, num_images, sigmas, category="person"):
    """Truths, some of them without labelled points, and what was found near them."""
    rng = np.random.default_rng(seed)
    truths, found = [], []
    for image in range(num_images):
        for number in range(int(rng.integers(0, 4))):
            low, side = rng.uniform(0, 300, 2), rng.choice((40, 150)) * rng.uniform(0.8, 1.2, 2)
            bbox = [*low, *(low + side)]
            points = rng.uniform(low, low + side, (len(sigmas), 2))
            seen = rng.integers(0, 3, len(sigmas)) * (number != 2)
            keypoints = np.column_stack([points, seen]).tolist()
            area = float(side.prod() * 0.6)
            truths.append(Instance(image, category, bbox, area=area, keypoints=keypoints))
            for _ in range(int(rng.integers(0, 3))):
                moved = points + rng.normal(0, 0.08 * np.sqrt(area), points.shape)
                near = np.column_stack([moved, np.ones(len(sigmas))]).tolist()
                score = float(rng.random())
                found.append(Instance(image, category, bbox, score=score, keypoints=near))
    return truths, found


@pytest.mark.parametrize("seed", range(3))
def test_one_class_is_measured_as_coco_does(seed):
    truths, found = _people(seed, 12, COCO_SIGMAS)
    metrics = keypoint_precision(truths, found, 12, {"person": COCO_SIGMAS})
    assert metrics == pytest.approx(average_precision(truths, found, 12, "OKS"), abs=1e-12)
    assert 0.05 < metrics["OKS_AP"] < 0.95


def test_classes_have_keypoints_and_sigmas_of_their_own():
    sigmas = {"fox": (0.05,) * 5, "person": COCO_SIGMAS}
    people, foxes = _people(0, 12, COCO_SIGMAS), _people(1, 12, sigmas["fox"], "fox")
    both = [one + other for one, other in zip(people, foxes, strict=True)]
    metrics = keypoint_precision(*both, 12, sigmas)
    apart = [
        average_precision(*people, 12, "OKS"),
        average_precision(*foxes, 12, "OKS", sigmas=sigmas["fox"]),
    ]
    for name, value in metrics.items():
        assert value == pytest.approx(np.mean([part[name] for part in apart if name in part]))
    assert abs(apart[0]["OKS_AP"] - apart[1]["OKS_AP"]) > 0.01


def test_a_mean_over_classes_is_that_of_coco_where_all_have_the_same_keypoints():
    parts = [_people(seed, 12, COCO_SIGMAS, name) for seed, name in enumerate(("man", "woman"))]
    truths, found = ([*one, *other] for one, other in zip(*parts, strict=True))
    metrics = keypoint_precision(truths, found, 12, dict.fromkeys(("man", "woman"), COCO_SIGMAS))
    assert metrics == pytest.approx(average_precision(truths, found, 12, "OKS"), abs=1e-12)


def test_a_truth_without_an_area_has_a_share_of_its_box():
    truths, found = _people(0, 12, COCO_SIGMAS)
    bare = [replace(truth, area=None) for truth in truths]
    areas = [(t.bbox[2] - t.bbox[0]) * (t.bbox[3] - t.bbox[1]) * 0.53 for t in truths]
    stated = [replace(t, area=area) for t, area in zip(truths, areas, strict=True)]
    sigmas = {"person": COCO_SIGMAS}
    assert keypoint_precision(bare, found, 12, sigmas) == keypoint_precision(
        stated, found, 12, sigmas
    )


BOX = (0.0, 0.0, 100.0, 50.0)


def test_a_missing_point_has_no_similarity():
    # An exact point of two: OKS is 1 / 2, which passes .5 alone.
    truth = Instance(0, "fox", BOX, area=5000.0, keypoints=[[10, 10, 2], [90, 40, 2]])
    found = Instance(0, "fox", BOX, keypoints=[[10, 10, 1], [NAN, NAN, 1]])
    metrics = keypoint_precision([truth], [found], 1, {"fox": (0.05, 0.05)})
    assert metrics["OKS_AP50"] == pytest.approx(1.0)
    assert metrics["OKS_AP"] == pytest.approx(0.1)


def test_without_a_labelled_point_nothing_is_measured():
    truth = Instance(0, "fox", BOX, keypoints=[[0, 0, 0]])
    found = Instance(0, "fox", BOX, keypoints=[[10, 10, 1]])
    assert keypoint_precision([truth], [found], 1, {"fox": (0.05,)}) == {}
    assert keypoint_precision([], [found], 1, {"fox": (0.05,)}) == {}
    assert point_metrics(point_errors([truth], [found])) == {}


def test_errors_are_those_of_the_labelled_points():
    truth = Instance(0, "fox", BOX, keypoints=[[10, 10, 2], [50, 20, 1], [0, 0, 0]])
    found = Instance(0, "fox", BOX, keypoints=[[13, 14, 1], [NAN, NAN, 1], [7, 7, 1]])
    size = math.sqrt(100 * 50)
    expected = [[5.0, 100.0, size], [NAN, 100.0, size]]
    np.testing.assert_allclose(point_errors([truth], [found]), expected)


def test_metrics_of_points_follow_their_definition():
    # Of the longer side 5, 10, 15 and 30 %, and one that was not found.
    errors = np.array([[5, 100, 50], [10, 100, 50], [30, 200, 100], [30, 100, 50], [NAN, 100, 50]])
    assert point_metrics(errors) == pytest.approx(
        {
            **{"PCK@0.1": 2 / 5, "PCK@0.2": 3 / 5, "median_error_px": 20.0},
            "NME": (0.1 + 0.2 + 0.3 + 0.6) / 4,
        }
    )


def test_points_of_a_truth_that_was_not_found_are_missed():
    truth = Instance(0, "fox", BOX, keypoints=[[10, 10, 2]])
    places = [(0, "cow", BOX), (1, "fox", BOX), (0, "fox", (0.0, 0.0, 49.0, 50.0))]
    found = [Instance(*place, keypoints=[[10, 10, 1]]) for place in places]
    errors = point_errors([truth], found)
    assert point_metrics(errors) == {"PCK@0.1": 0.0, "PCK@0.2": 0.0}
    # Half of the box is enough.
    half = Instance(0, "fox", (0.0, 0.0, 50.0, 50.0), keypoints=[[10, 10, 1]])
    assert point_metrics(point_errors([truth], [half]))["PCK@0.1"] == 1.0


def test_the_surest_instance_takes_the_truth():
    truth = Instance(0, "fox", BOX, keypoints=[[10, 10, 2]])
    right = Instance(0, "fox", BOX, score=0.4, keypoints=[[10, 10, 1]])
    wrong = Instance(0, "fox", (0.0, 0.0, 80.0, 50.0), score=0.6, keypoints=[[90, 10, 1]])
    assert point_errors([truth], [right, wrong])[0, 0] == 80.0
    assert point_errors([truth], [right, replace(wrong, score=0.3)])[0, 0] == 0.0


def test_each_instance_takes_one_truth_and_none_takes_a_crowd():
    truths = [Instance(0, "fox", BOX, keypoints=[[x, 10, 2]]) for x in (10, 30)]
    crowd = Instance(0, "fox", BOX, ignored=True, keypoints=[[0, 0, 0]])
    found = [
        Instance(0, "fox", BOX, score=score, keypoints=[[x, 10, 1]])
        for score, x in ((0.9, 10), (0.8, 30))
    ]
    assert point_errors([crowd, *truths], found)[:, 0].tolist() == [0.0, 0.0]
    assert np.isnan(point_errors([*truths, crowd], found[:1])[:, 0]).tolist() == [False, True]


def test_the_size_of_a_face_is_the_distance_of_its_eyes():
    points = [[10, 10, 2], [40, 50, 2], [20, 20, 2]]
    truth = Instance(0, "face", BOX, keypoints=points)
    found = Instance(0, "face", BOX, keypoints=[[x + 5, y, 1] for x, y, _ in points])
    errors = point_errors([truth], [found], {"face": (0, 1)})
    assert point_metrics(errors)["NME"] == pytest.approx(5 / 50)
    hidden = replace(truth, keypoints=[[*points[0][:2], 0], *points[1:]])
    errors = point_errors([hidden], [found], {"face": (0, 1)})
    assert point_metrics(errors)["NME"] == pytest.approx(5 / math.sqrt(5000))
