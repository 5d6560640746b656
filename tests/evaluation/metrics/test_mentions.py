"""Names in texts."""

from __future__ import annotations

import pytest

from superlink.errors import InputError
from superlink.evaluation.metrics import Mentions, mention_metrics

WORDS = Mentions(
    {"dog": ("dog", "dogs"), "hot dog": ("hot dog", "hot dogs"), "bus": ("bus", "buses")}
)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("two Dogs and a bus", ["bus", "dog"]),
        ("a hot dog", ["hot dog"]),
        ("a hot dog, and a dog", ["dog", "hot dog"]),
        ("a busy dogma", []),
        ("<p>buses</p>[DET]", ["bus"]),
        ("", []),
    ],
)
def test_names_are_whole_words_in_any_number(text, names):
    assert WORDS.find(text) == names


def test_no_vocabulary_finds_nothing():
    assert Mentions({}).find("a dog") == []


def test_sets_are_compared():
    metrics = mention_metrics([["dog"], ["dog", "bus"], []], [["dog"], ["dog"], ["bus"]])
    assert metrics == {
        "objects_exact": pytest.approx(1 / 3),
        "objects_recall": pytest.approx(2 / 3),
        "objects_precision": pytest.approx(2 / 3),
    }
    assert mention_metrics([[]], [["dog"]])["objects_precision"] == 0.0


@pytest.mark.parametrize(("found", "expected"), [([], []), ([["dog"]], [[]]), ([], [["dog"]])])
def test_nothing_to_measure_is_refused(found, expected):
    with pytest.raises(InputError, match="expected ones of the same texts"):
        mention_metrics(found, expected)
