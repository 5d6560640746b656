"""Scores of salience are those of py_sod_metrics over the whole set, and never a warning."""

from __future__ import annotations

import sys

import numpy as np
import py_sod_metrics
import pytest

from superlink.errors import InputError, MissingDependencyError
from superlink.evaluation.metrics import salience, salience_metrics, salience_scores


def _images(seed):
    rng = np.random.default_rng(seed)
    for _ in range(5):
        y, x = np.mgrid[:40, :56]
        (cy, cx), radius = rng.uniform((12, 15), (28, 40)), rng.uniform(5, 12)
        distance = np.hypot(y - cy, x - cx)
        soft = np.clip(1.2 - distance / (1.4 * radius) + rng.normal(0, 0.1, y.shape), 0, 0.9)
        yield soft, distance < radius


def test_scores_are_those_of_py_sod_metrics():
    images = list(_images(0))
    found = salience_metrics([salience_scores(*image) for image in images])

    measures = [
        getattr(py_sod_metrics, name)()
        for name in ("Smeasure", "Emeasure", "WeightedFmeasure", "MAE")
    ]
    for soft, truth in images:
        for measure in measures:
            measure.step(np.round(soft * 255).astype(np.uint8), truth.astype(np.uint8) * 255)
    structure, alignment, weighted, error = (measure.get_results() for measure in measures)
    wanted = {
        "S": structure["sm"],
        "E_mean": alignment["em"]["curve"].mean(),
        "E_adaptive": alignment["em"]["adp"],
        "F_weighted": weighted["wfm"],
        "MAE": error["mae"],
    }
    assert found == pytest.approx(wanted, abs=1e-6)
    assert 0.3 < found["S"] < 0.99


def test_a_perfect_map_scores_best():
    truth = next(iter(_images(1)))[1]
    found = salience_scores(truth.astype(np.float32), truth)
    assert found["MAE"] == 0.0
    assert all(found[name] > 0.99 for name in ("S", "E_mean", "E_adaptive", "F_weighted"))
    assert all(type(value) is float for value in found.values())


@pytest.mark.parametrize("truth", ["empty", "full", "last column", "corner"])
@pytest.mark.parametrize("soft", [0.0, 1.0, 0.5, None])
def test_odd_images_give_numbers_and_no_warning(truth, soft):
    mask = np.zeros((8, 9), bool)
    mask[{"empty": slice(0), "full": slice(None)}.get(truth, (slice(7, 8), slice(8, 9)))] = True
    if truth == "last column":
        mask[:, 8] = True
    ramp = np.linspace(0, 1, 72).reshape(8, 9)
    found = salience_scores(ramp if soft is None else np.full((8, 9), soft), mask)
    assert all(np.isfinite(value) for value in found.values())


def test_without_images_there_is_nothing_to_measure():
    with pytest.raises(InputError, match="at least one image"):
        salience_metrics([])


def test_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "py_sod_metrics", None)
    salience._measures.cache_clear()
    with pytest.raises(MissingDependencyError, match=r"superlink\[eval\]"):
        salience_scores(np.zeros((4, 4)), np.zeros((4, 4), bool))
