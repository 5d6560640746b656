"""What names add to a row, and how all samples together understand them."""

from __future__ import annotations

import json

import pytest
import torch

from superlink.errors import InputError
from superlink.evaluation.routing import (
    AskedNames,
    known_names,
    needed_masks,
    needed_targets,
    resolve_phrases,
    routing_score,
    word_remarks,
)
from superlink.interfaces import InstancePrediction, Message, Reply, Route, Sample


def _row(names, phrases, synonyms=None, found=()):
    asked = AskedNames([{"names": names}], synonyms or {})
    for phrase in found:
        asked.phrase(phrase)
    return asked.row(Reply("", "", tuple(Route(0, 1, "[DET]", phrase) for phrase in phrases)))


def test_rows_hold_each_phrase_once():
    row = _row(("cat", "dog"), ("Cats", "dog", "Cats"), found=("dog", "owl"))
    assert row == {
        "expected": ["cat", "dog"],
        "routed": [2, 0, 2],
        "phrases": [
            ["dog", "dog", "exact"],
            ["owl", None, "unknown"],
            ["Cats", "cat", "normalized"],
        ],
    }
    assert json.loads(json.dumps(row)) == row


def test_synonyms_of_targets_and_options_are_joined():
    targets = [{"names": ("cat",), "synonyms": {"cat": ("kitty",)}}, {"names": ("dog",)}]
    names = AskedNames(targets, {"cat": ["puss"], "dog": ["hound"]})
    assert names.expected == ["cat", "dog"]
    found = [names.category(phrase) for phrase in ("kitty", "puss", "hound", "fox")]
    assert found == ["cat", "cat", "dog", None]


def test_a_class_of_another_sample_is_known_but_not_right():
    rows = [_row(("glass",), ("glasses", "dog")), _row(("glasses", "dog"), ("glasses", "dog"))]
    known = known_names(rows, {})
    assert resolve_phrases(rows[0], known) == [
        ("glasses", "glasses", "exact"),
        ("dog", "dog", "exact"),
    ]
    metrics = routing_score(rows, known).compute()
    assert metrics["unknown_names"] == 0.0
    assert metrics["list_exact"] == 0.5
    assert metrics["routing_precision"] == 0.5


def test_what_only_the_sample_understands_stays_understood():
    rows = [_row(("axe",), ("axes", "hatchet"), {"axe": ["hatchet"]}), _row(("ax",), ("ax",))]
    assert resolve_phrases(rows[0], known_names(rows, {})) == [
        ("axes", "axe", "normalized"),
        ("hatchet", "axe", "synonym"),
    ]


def test_no_remark_where_all_words_are_right():
    rows = [_row(("cat",), ("cat",))]
    assert list(word_remarks(routing_score(rows, known_names(rows, {})))) == []


@pytest.mark.parametrize(
    ("targets", "options", "match"),
    [
        ((), {}, "measured against targets"),
        ((None,), {}, "measured against targets"),
        (({"names": ()},), {}, r"\['labels', 'names'\].*\['names'\]"),
        (({"names": (), "labels": ()},) * 2, {"most": 1}, "1 call in a sample.*2 targets"),
    ],
)
def test_targets_that_do_not_fit_are_refused(targets, options, match):
    sample = Sample((Message("user", "?"),), targets=targets, key="odd")
    with pytest.raises(InputError, match=f"Toys .*{match}.*'odd'"):
        needed_targets(sample, ("names", "labels"), "Toys", **options)


def test_samples_may_be_without_a_target_where_that_has_a_meaning():
    assert needed_targets(Sample((Message("user", "?"),)), ("names",), "Toys", least=0) == []


def test_masks_of_no_instances_are_none():
    empty = InstancePrediction(
        torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.long), ("cat",)
    )
    assert needed_masks(empty, (3, 4), "one").shape == (0, 3, 4)
