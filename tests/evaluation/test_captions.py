"""Captions: the routes as in detection, and the classes that the words name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from superlink.data import read_scene_captions
from superlink.evaluation import CaptionEvaluator, TaskSamples
from superlink.interfaces import Call, InstancePrediction, Reply, Route
from superlink.tasks.captions import caption_conversation

SAMPLES = TaskSamples(
    read_scene_captions(split="val", num_scenes=3, attributes=0.0), caption_conversation
)


def _reply(sample, text):
    (target,) = sample.targets
    found = InstancePrediction(
        target["bboxes"], target["labels"] * 0 + 0.9, target["labels"], target["names"]
    )
    routes = tuple(Route(0, 1, "[DET]", name) for name in target["names"])
    call = Call(0, 1, "toy", tuple(range(len(routes))), 0)
    return Reply(text, text, routes, (call,), (found,))


def _metrics(*texts, **options):
    evaluator = CaptionEvaluator(**options)
    pairs = zip(SAMPLES, texts, strict=False)
    return evaluator.summarize([evaluator.measure(s, _reply(s, t)) for s, t in pairs])


def _caption(sample):
    return "".join(sample.messages[-1].text.replace("[DET]", "").split("<p>")).replace("</p>", "")


def test_the_expected_caption_names_all_and_nothing_else():
    metrics = _metrics(*map(_caption, SAMPLES))
    assert metrics["box_AP50"] == 1.0
    assert metrics["objects_exact"] == 1.0
    assert metrics["objects_recall"] == metrics["objects_precision"] == 1.0


def test_one_more_class_or_none_is_no_longer_exact():
    first, second, _ = map(_caption, SAMPLES)
    absent = next(n for n in ("mushroom", "shoe", "hat", "fish") if n not in first)
    metrics = _metrics(f"{first} and a {absent}", "nothing in particular", _caption(SAMPLES[2]))
    assert metrics["objects_exact"] == pytest.approx(1 / 3)
    assert metrics["objects_precision"] < 1 and metrics["objects_recall"] < 1
    assert second


def test_captions_are_not_read_where_no_class_is_expected():
    assert "objects_exact" not in _metrics(_caption(SAMPLES[0]), objects=("zebra",))


def test_words_of_the_reply_count_and_not_its_routes():
    sample = SAMPLES[0]
    row = CaptionEvaluator().measure(sample, _reply(sample, "Two People, a HAT and some fish."))
    assert row["mentioned"] == ["fish", "hat", "person"]
    bare = replace(_reply(sample, ""), predictions=(), calls=(), routes=())
    assert CaptionEvaluator().measure(sample, bare)["mentioned"] == []
