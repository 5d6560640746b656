"""Thresholds: which side is wrong, and what a figure that is no number means."""

from __future__ import annotations

import math

import pytest

from superlink.diagnosis.links import bounds
from superlink.diagnosis.links.bounds import Bound
from superlink.diagnosis.links.finding import Finding, worst


@pytest.mark.parametrize(
    ("value", "status"), [(0.95, "ok"), (0.9, "ok"), (0.7, "warning"), (0.2, "problem")]
)
def test_bound_from_below(value, status):
    assert Bound(0.9, 0.5, "").judge(value) == status


@pytest.mark.parametrize(("value", "status"), [(0.9, "ok"), (2.0, "warning"), (9.0, "problem")])
def test_bound_from_above(value, status):
    assert Bound(1.0, 4.0, "").judge(value) == status


def test_no_number_is_a_problem():
    assert Bound(1.0, 4.0, "").judge(math.nan) == Bound(0.9, 0.5, "").judge(math.nan) == "problem"


def test_every_threshold_has_a_reason():
    named = [value for name in bounds.__all__ if isinstance(value := getattr(bounds, name), Bound)]
    assert len(named) >= 8
    assert all(len(bound.reason) > 20 for bound in named)


def test_worst_of_some():
    assert worst(["ok", "problem", "warning"]) == "problem"
    assert worst([]) == "ok"


def test_figures_that_are_no_numbers_are_text_in_json():
    finding = Finding("losses", "lm", "problem", "", figures={"a": math.nan, "b": 1.0})
    assert finding.to_json()["figures"] == {"a": "nan", "b": 1.0}
