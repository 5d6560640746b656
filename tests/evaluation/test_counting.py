"""Counts of hand-made replies."""

from __future__ import annotations

import json

import pytest
import torch

from superlink.errors import ConfigError, InputError
from superlink.evaluation import CountingEvaluator
from superlink.interfaces import Call, InstancePrediction, Message, Reply, Route, Sample


def _sample(count, name="bird"):
    target = {"count": count, "names": (name,)}
    return Sample((Message("user", "?"), Message("assistant", "!")), targets=(target,), key="one")


def _reply(scores, labels=None, phrases=("bird",)):
    prediction = InstancePrediction(
        torch.zeros(len(scores), 4),
        torch.tensor(scores),
        torch.tensor(labels or [0] * len(scores), dtype=torch.long),
        phrases,
    )
    routes = tuple(Route(0, 1, "[DET]", phrase) for phrase in phrases)
    return Reply("", "", routes, (Call(0, 1, "toy", tuple(range(len(phrases))), 0),), (prediction,))


def _row(sample, reply, **options):
    return CountingEvaluator(**options).measure(sample, reply)


def test_instances_from_the_threshold_on_are_counted():
    reply = _reply([0.9, 0.5, 0.25, 0.1])
    row = _row(_sample(3), reply)
    assert (row["expected"], row["found"]) == (3, 2) and "not_finite" not in row
    assert _row(_sample(3), reply, threshold=0.25)["found"] == 3
    (remark,) = CountingEvaluator(threshold=0.25).remarks([])
    assert "at least 0.25" in remark


def test_only_the_asked_name_is_counted():
    reply = _reply([0.9, 0.9, 0.9], [0, 1, 2], ("The Birds", "cat", "fowl"))
    assert _row(_sample(1), reply)["found"] == 1
    assert _row(_sample(1), reply, synonyms={"bird": ["fowl"]})["found"] == 1
    assert _row(_sample(1), _reply([0.9], phrases=("fowl",)), synonyms={"bird": ["fowl"]})["found"]


def test_a_name_that_was_routed_twice_is_counted_once():
    row = _row(_sample(2), _reply([0.9] * 4, [0, 0, 1, 1], ("bird", "birds")))
    assert row["found"] == 2
    metrics = CountingEvaluator().summarize([row])
    assert (metrics["duplicate_names"], metrics["routing_precision"]) == (1.0, 0.5)


def test_instances_that_are_not_finite_count_as_nothing():
    row = _row(_sample(1), _reply([0.9, float("inf")]))
    assert row["found"] == row["not_finite"] == 1
    assert "1 instances had coordinates" in CountingEvaluator().remarks([row])[-1]


def test_a_reply_without_a_call_finds_nothing():
    row = _row(_sample(0), Reply("", ""))
    assert (row["expected"], row["found"]) == (0, 0)


def test_errors_over_all_replies():
    rows = [
        _row(_sample(count), _reply([0.9] * found)) for count, found in ((1, 1), (3, 1), (0, 4))
    ]
    evaluator = CountingEvaluator()
    metrics = evaluator.summarize(rows)
    wanted = {"MAE": 2.0, "RMSE": (20 / 3) ** 0.5, "exact": 1 / 3}
    assert {name: metrics[name] for name in wanted} == pytest.approx(wanted)
    assert metrics["list_exact"] == 1.0
    assert evaluator.summarize(json.loads(json.dumps(rows))) == metrics
    assert [evaluator.quality(row) for row in rows] == [0.0, -2.0, -4.0]


def test_mistakes_are_refused():
    bare = Sample((Message("user", "?"),), targets=({"names": ("x",)},), key="odd")
    with pytest.raises(InputError, match=r"Counting is measured against.*'odd'"):
        _row(bare, Reply("", ""))
    with pytest.raises(InputError, match="at least one count"):
        CountingEvaluator().summarize([])
    with pytest.raises(ConfigError, match="threshold is from 0 to 1"):
        CountingEvaluator(threshold=-0.1)
