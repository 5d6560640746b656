"""Routes, counted against what should have been routed."""

from __future__ import annotations

import pytest

from superlink.evaluation.metrics import CategoryMatcher, RoutingScore

MATCHER = CategoryMatcher(("cat", "dog", "owl"), {"dog": ["puppy"]})


def _score(*replies):
    score = RoutingScore()
    for phrases, expected in replies:
        matches = [(phrase, MATCHER.match(phrase)) for phrase in phrases]
        score.update([(phrase, found.category, found.how) for phrase, found in matches], expected)
    return score


def _metrics(*replies):
    return _score(*replies).compute()


def test_the_same_list_is_exact():
    metrics = _metrics((["Cat", "the dogs"], ["cat", "dog"]))
    assert metrics == {
        **{"list_exact": 1.0, "routing_recall": 1.0, "routing_precision": 1.0},
        **{"unknown_names": 0.0, "duplicate_names": 0.0},
    }


def test_a_synonym_is_right_but_not_exact():
    metrics = _metrics((["puppy"], ["dog"]))
    assert metrics["routing_recall"] == metrics["routing_precision"] == 1.0
    assert metrics["list_exact"] == 0.0


def test_unknown_and_duplicate_names_are_counted_by_reply():
    score = _score((["yeti", "cat", "Yeti", "cat", "cats"], ["cat"]), (["owl"], ["owl"]))
    metrics = score.compute()
    assert metrics["unknown_names"] == 1.0
    assert metrics["duplicate_names"] == 1.5
    assert metrics["routing_precision"] == pytest.approx(2 / 6)
    assert score.unknown == {"yeti": 2}
    assert score.duplicates == {"cat": 2, "yeti": 1}


@pytest.mark.parametrize(
    ("phrases", "expected", "recall", "precision"),
    [([], [], 1.0, 1.0), (["cat"], [], 0.0, 0.0), ([], ["cat"], 0.0, 0.0)],
)
def test_nothing_routed_or_expected(phrases, expected, recall, precision):
    metrics = _metrics((phrases, expected))
    assert metrics["routing_recall"] == recall
    assert metrics["routing_precision"] == precision
