"""Salient objects on hand-made replies."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from superlink.errors import InputError
from superlink.evaluation import SalienceEvaluator
from superlink.evaluation.metrics import salience_scores
from superlink.interfaces import Call, InstancePrediction, Message, Reply, Route, Sample


def _disc(cx, cy, radius):
    y, x = torch.meshgrid(torch.arange(40), torch.arange(48), indexing="ij")
    return (x - cx) ** 2 + (y - cy) ** 2 < radius**2


ONE, TWO = _disc(14, 14, 9), _disc(34, 24, 7)


def _sample(*masks):
    stacked = torch.stack(masks) if masks else torch.zeros(0, 40, 48, dtype=torch.bool)
    target = {"masks": stacked, "names": ("salient object",)}
    return Sample((Message("user", "?"), Message("assistant", "!")), targets=(target,), key="one")


def _reply(masks, scores, phrase="salient object"):
    count = len(scores)
    prediction = InstancePrediction(
        torch.zeros(count, 4),
        torch.tensor(scores),
        torch.zeros(count, dtype=torch.long),
        (phrase,),
        masks,
    )
    route, call = Route(0, 1, "[SEG]", phrase), Call(0, 1, "toy", (0,), 0)
    return Reply("", "", (route,), (call,), (prediction,))


def _row(sample, reply):
    return SalienceEvaluator().measure(sample, reply)


def _scores(row):
    return {name: value for name, value in row.items() if name not in ("routing", "not_finite")}


@pytest.mark.parametrize(("phrase", "right"), [("dog", 0.0), ("", 1.0), ("Salient objects", 1.0)])
def test_another_word_than_the_asked_one_is_not_right(phrase, right):
    row = _row(_sample(ONE), _reply(ONE[None], [1.0], phrase))
    assert (row["MAE"] == 0.0) == bool(right)
    assert SalienceEvaluator().summarize([row])["routing_recall"] == right
    assert bool(SalienceEvaluator().remarks([row])) != bool(right)


def test_masks_that_are_not_finite_count_as_nothing():
    row = _row(_sample(ONE), _reply(torch.full((1, 40, 48), float("nan")), [1.0]))
    assert _scores(row) == _scores(_row(_sample(ONE), Reply("", "")))
    assert "1 instances had" in SalienceEvaluator().remarks([row])[0]


def test_perfect_replies_score_best():
    row = _row(_sample(ONE, TWO), _reply(torch.stack([ONE, TWO]), [0.9, 0.9]))
    assert row["MAE"] == 0.0
    assert row["S"] > 0.99


def test_the_map_has_the_highest_score_at_each_pixel():
    soft = torch.rand(40, 48)
    masks = torch.stack([ONE.float(), soft])
    wanted = np.maximum(0.75 * ONE.numpy(), 0.5 * soft.numpy())
    assert _scores(_row(_sample(ONE), _reply(masks, [0.75, 0.5]))) == pytest.approx(
        salience_scores(wanted, ONE.numpy())
    )


@pytest.mark.parametrize(
    "reply", [Reply("", ""), _reply(None, []), _reply(torch.zeros(0, 40, 48), [])]
)
def test_a_reply_without_instances_is_an_empty_map(reply):
    wanted = salience_scores(np.zeros((40, 48)), ONE.numpy())
    assert _scores(_row(_sample(ONE), reply)) == wanted
    assert wanted["F_weighted"] < 1e-6


def test_an_image_without_an_object_is_measured_too():
    row = _row(_sample(), Reply("", ""))
    assert (row["S"], row["MAE"]) == (1.0, 0.0)


def test_summary_is_the_mean_over_images_and_survives_json():
    evaluator = SalienceEvaluator()
    rows = [_row(_sample(ONE), _reply(m[None], [0.8])) for m in (ONE, TWO, _disc(16, 15, 9))]
    metrics = evaluator.summarize(rows)
    assert list(metrics)[:5] == ["S", "E_mean", "E_adaptive", "F_weighted", "MAE"]
    assert metrics["list_exact"] == metrics["routing_recall"] == 1.0
    assert metrics["S"] == pytest.approx(np.mean([row["S"] for row in rows]))
    assert evaluator.summarize(json.loads(json.dumps(rows))) == metrics
    assert evaluator.quality(rows[0]) > evaluator.quality(rows[2]) > evaluator.quality(rows[1])


def test_mistakes_are_refused():
    bare = Sample((Message("user", "?"),), targets=({"names": ("x",)},), key="odd")
    with pytest.raises(InputError, match=r"Salience is measured against.*'odd'"):
        _row(bare, Reply("", ""))
    with pytest.raises(InputError, match=r"\(40, 48\).*none.*'one'"):
        _row(_sample(ONE), _reply(None, [0.5]))
    with pytest.raises(InputError, match="at least one image"):
        SalienceEvaluator().summarize([])
