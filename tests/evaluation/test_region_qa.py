"""Letters of hand-made replies."""

from __future__ import annotations

import json

import pytest

from superlink.errors import InputError
from superlink.evaluation.region_qa import RegionQaEvaluator
from superlink.interfaces import Message, Reply, Sample

EVALUATOR = RegionQaEvaluator()


def _row(text, step="answer", group="q", letter="B"):
    target = {"names": (letter,), "choices": 4, "step": step, "group": group}
    messages = (Message("user", "?"), Message("assistant", letter))
    return EVALUATOR.measure(Sample(messages, targets=(target,), key="one"), Reply(text, ""))


@pytest.mark.parametrize(
    "text",
    ["B", " b ", "B.", "(B)", "B) because", "B. person 1 sleeps", "The answer is B.", "Answer: B"],
)
def test_letter_is_read(text):
    assert _row(text)["chosen"] == "B"


@pytest.mark.parametrize("text", ["", "A person", "Because", "I do not know", "E", "12", "a dog."])
def test_reply_without_a_letter_of_the_choices_is_wrong(text):
    row = _row(text)
    assert row["chosen"] == "" and EVALUATOR.quality(row) == 0
    (remark,) = EVALUATOR.remarks([row, _row("B")])
    assert remark.startswith("1 of 2 replies name no letter")


def test_both_steps_count_where_both_are_right():
    rows = [
        *(_row("B", "answer", "one"), _row("B", "rationale", "one")),
        *(_row("B", "answer", "two"), _row("A", "rationale", "two")),
        *(_row("A", "answer", "three"), _row("B", "rationale", "three")),
        _row("B", "answer", "four"),
    ]
    metrics = EVALUATOR.summarize(json.loads(json.dumps(rows)))
    assert metrics == pytest.approx({"Q->A": 3 / 4, "QA->R": 2 / 3, "Q->AR": 1 / 3})
    (remark,) = EVALUATOR.remarks(rows)
    assert remark.startswith("1 questions were asked for one")


def test_one_step_alone_has_its_own_metric():
    assert EVALUATOR.summarize([_row("B")]) == {"Q->A": 1.0}
    assert EVALUATOR.summarize([_row("A", "rationale")]) == {"QA->R": 0.0}
    assert EVALUATOR.remarks([_row("B")]) == ()


def test_nothing_to_measure():
    with pytest.raises(InputError, match="at least one answer"):
        EVALUATOR.summarize([])
    with pytest.raises(InputError, match="Region question answering is measured against"):
        EVALUATOR.measure(Sample((Message("user", "?"),)), Reply("B", ""))
