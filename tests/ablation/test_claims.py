"""Claims: differences of means against their spread."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_ind

from superlink.ablation import Claim
from superlink.ablation.claims import judge, least_difference
from superlink.evaluation.cards import Spread

VALUES = st.lists(st.integers(0, 1000).map(lambda n: n / 1000), min_size=2, max_size=6)


def verdict(order="8 > 4 > 1", **values):
    claim = Claim(text="More help.", metric="m", order=order)
    measured = {name.strip("_"): Spread.of(found) for name, found in values.items()}
    return judge(claim, measured)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"_8": [0.9, 0.91, 0.92], "_4": [0.7, 0.71, 0.72], "_1": [0.5, 0.51, 0.52]}, "agrees"),
        ({"_8": [0.7, 0.71, 0.72], "_4": [0.9, 0.91, 0.92], "_1": [0.5, 0.51, 0.52]}, "disagrees"),
        ({"_8": [0.7, 0.9, 0.8], "_4": [0.6, 0.8, 0.7], "_1": [0.1, 0.1, 0.1]}, "not told apart"),
        ({"_8": [0.9], "_4": [0.5], "_1": [0.1]}, "not told apart"),
        ({"_8": [0.9, 0.9], "_4": [0.5, 0.5], "_1": [0.1, 0.1]}, "agrees"),
        ({"_8": [0.9, 0.9], "_4": [0.9, 0.9], "_1": [0.1, 0.1]}, "not told apart"),
        ({"_8": [0.9, 0.9], "_1": [0.1, 0.1]}, "not measured"),
    ],
)
def test_verdicts(values, expected):
    assert verdict(**values).verdict == expected


def test_reasons_say_each_difference_and_what_it_takes():
    judged = verdict("a > b", a=[0.6, 0.8], b=[0.5, 0.5])
    assert judged.reasons == ("a - b = +0.200, told apart from 1.271 on",)
    assert verdict("a > b", a=[0.6], b=[0.5, 0.5]).reasons[0].endswith("single run has no spread")


def test_claim_without_order_is_not_tested():
    assert judge(Claim(text="It is so."), {}).verdict == "not tested"


@given(VALUES, VALUES)
def test_told_apart_only_where_welch_tells_apart(a, b):
    first, second = Spread.of(a), Spread.of(b)
    if not (first.std or second.std):
        assert least_difference(first, second) == 0
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # where one side has no spread
        test = ttest_ind(a, b, equal_var=False)
    half = test.confidence_interval(0.95).high - (first.mean - second.mean)
    # Degrees of freedom are rounded down, which never tells more apart.
    assert least_difference(first, second) >= half * (1 - 1e-3)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_equal_spreads_are_exactly_welch(count):
    values = [0.1 * i for i in range(count)]
    half = ttest_ind(values, values, equal_var=False).confidence_interval(0.95).high
    spread = Spread.of(values)
    assert least_difference(spread, spread) == pytest.approx(half, rel=1e-3)
