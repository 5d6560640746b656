"""Average precision of a ranking."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superlink.errors import InputError
from superlink.evaluation.metrics import ranking_precision


def test_precision_at_each_right_item_by_hand():
    scores, right = (0.9, 0.8, 0.7, 0.6), (True, False, True, False)
    assert ranking_precision(scores, right) == pytest.approx((1 + 2 / 3) / 2)
    assert ranking_precision(scores, [not one for one in right]) == pytest.approx(
        (1 / 2 + 2 / 4) / 2
    )


def test_equal_scores_say_nothing():
    assert ranking_precision([0.5] * 4, [True, False, False, False]) == 0.25


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1), st.integers())
def test_order_does_not_matter_and_perfect_scores_give_one(pairs, seed):
    pairs = [*pairs, (2, True)]
    shuffled = random.Random(seed).sample(pairs, len(pairs))
    found = ranking_precision(*zip(*pairs, strict=True))
    assert 0 < found <= 1
    assert ranking_precision(*zip(*shuffled, strict=True)) == pytest.approx(found)
    right = [one for _, one in pairs]
    assert ranking_precision(right, right) == 1.0


@pytest.mark.parametrize(
    ("scores", "right"), [((), ()), ((1.0,), (False,)), ((1.0,), (True, True))]
)
def test_a_ranking_of_nothing_is_refused(scores, right):
    with pytest.raises(InputError, match="one item that is right"):
        ranking_precision(scores, right)
