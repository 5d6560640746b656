"""Metrics of label maps are those of torchmetrics, whole or from counts of each image."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

from superlink.errors import InputError
from superlink.evaluation.metrics import count_pixels, label_map, segmentation_metrics

NAMES = ("sky", "sea", "sand", "tree", "rock")


def _maps(seed, classes=5):
    rng = np.random.default_rng(seed)
    for _ in range(6):
        truth = rng.integers(0, classes, (20, 24)).repeat(2, 0)
        noise = rng.integers(0, classes, truth.shape)
        predicted = np.where(rng.random(truth.shape) < 0.6, truth, noise)
        yield predicted, truth, rng.random(truth.shape) < 0.1


@pytest.mark.parametrize("classes", [5, 3])
def test_metrics_are_those_of_torchmetrics(classes):
    maps = list(_maps(classes, classes))
    found = segmentation_metrics([count_pixels(p, t, NAMES, void) for p, t, void in maps])
    predicted = torch.from_numpy(np.stack([p for p, _, _ in maps]))
    truth = torch.from_numpy(np.stack([np.where(void, 255, t) for _, t, void in maps]))
    wanted = {
        "mIoU": MulticlassJaccardIndex(5, ignore_index=255),
        "mean_accuracy": MulticlassAccuracy(5, average="macro", ignore_index=255),
        "pixel_accuracy": MulticlassAccuracy(5, average="micro", ignore_index=255),
    }
    for name, metric in wanted.items():
        assert found[name] == pytest.approx(float(metric(predicted, truth)), abs=1e-6)
    assert 0.2 < found["mIoU"] < 0.8


def test_counts_come_back_from_json():
    counts = [count_pixels(*maps, NAMES) for maps in _maps(0) for maps in [maps[:2]]]
    assert segmentation_metrics(json.loads(json.dumps(counts))) == segmentation_metrics(counts)


def test_a_class_that_is_only_predicted_counts_as_zero():
    truth, predicted = np.zeros((2, 2), int), np.array([[0, 0], [0, 1]])
    found = segmentation_metrics([count_pixels(predicted, truth, NAMES)])
    assert found == pytest.approx({"mIoU": 3 / 8, "mean_accuracy": 3 / 4, "pixel_accuracy": 3 / 4})


def test_pixels_without_a_label_are_missed_or_wrong():
    truth, predicted = np.array([[0, 0, -1]]), np.array([[0, -1, 0]])
    assert count_pixels(predicted, truth, NAMES) == {"sky": [1, 3, 2]}


def test_void_pixels_count_for_nothing():
    truth, predicted = np.array([[0, 0, 1]]), np.array([[0, 2, 2]])
    void = np.array([[False, True, True]])
    assert count_pixels(predicted, truth, NAMES, void) == {"sky": [1, 1, 1]}


def test_the_surest_mask_owns_a_pixel():
    masks = np.array([[[1, 1, 0]], [[0, 1, 1]], [[0, 0, 0.4]]])
    assert label_map(masks, [0, 1, 2], [0.9, 0.5, 1.0], (1, 3)).tolist() == [[0, 0, 1]]
    assert label_map(masks, [0, 1, 2], [0.5, 0.9, 1.0], (1, 3)).tolist() == [[0, 1, 1]]
    assert label_map(masks, [0, 1, 2], [0.5, 0.5, 0.5], (1, 3)).tolist() == [[0, 0, 1]]
    assert label_map([], [], [], (1, 2)).tolist() == [[-1, -1]]


def test_without_annotated_pixels_there_is_nothing_to_measure():
    with pytest.raises(InputError, match="at least one annotated pixel"):
        segmentation_metrics([{"sky": [0, 4, 0]}])
