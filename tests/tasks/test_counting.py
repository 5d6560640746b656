"""Counting conversations: one name, one route, and a count beside the boxes."""

from __future__ import annotations

import random

import pytest
import torch
from PIL import Image

from superlink.data import AnnotatedObject, CountedImage
from superlink.errors import InputError
from superlink.evaluation.counting import CountingEvaluator
from superlink.interfaces import IMAGE, Call, InstancePrediction, Reply, Route
from superlink.tasks.counting import counting_conversation


def _record(count=2, boxes=None):
    boxes = count if boxes is None else boxes
    objects = tuple(AnnotatedObject("shells", (i, 0, i + 1, 3)) for i in range(boxes))
    return CountedImage(Image.new("RGB", (16, 8)), "shells", count, "one", objects)


def _sample(record, seed=0, training=False, **options):
    return counting_conversation(record, random.Random(seed), training, **options)


def test_question_names_what_is_counted_and_the_answer_no_number():
    sample = _sample(_record())
    assert sample.messages[0].parts == (IMAGE, "How many shells are there?")
    assert sample.messages[1].text == "<p>shells</p>[DET]"
    (target,) = sample.targets
    assert target["count"] == 2 and target["names"] == ("shells",)
    assert target["labels"].tolist() == [0, 0] and target["bboxes"].shape == (2, 4)
    assert target["size"] == (8, 16)


@pytest.mark.parametrize("training", [True, False])
def test_nothing_can_be_counted_as_well(training):
    (target,) = _sample(_record(0), training=training).targets
    assert target["count"] == 0 and target["bboxes"].shape == (0, 4)


def test_examples_are_no_target_of_evaluation():
    (target,) = _sample(_record(57, boxes=3)).targets
    assert target == {"names": ("shells",), "size": (8, 16), "count": 57}


@pytest.mark.parametrize("boxes", [0, 3])
def test_training_needs_the_box_of_everything(boxes):
    with pytest.raises(InputError, match=rf"{boxes} boxes of 57 x 'shells' .*serve evaluation"):
        _sample(_record(57, boxes=boxes), training=True)


def test_training_varies_the_words():
    samples = [
        _sample(_record(), seed, True, variety=1.0, answer_variety=1.0) for seed in range(40)
    ]
    assert len({sample.messages[0].text for sample in samples}) > 5
    for sample in samples:
        assert "shells" in sample.messages[0].text
        assert sample.messages[1].text.count("<p>shells</p>[DET]") == 1
        assert not any(map(str.isdigit, sample.messages[1].text))


def test_evaluator_takes_the_samples():
    found = InstancePrediction(
        torch.zeros(3, 4), torch.tensor([0.9, 0.8, 0.1]), torch.zeros(3).long(), ("shells",)
    )
    reply = Reply("", "", (Route(0, 1, "[DET]", "shells"),), (Call(0, 1, "a", (0,)),), (found,))
    evaluator = CountingEvaluator()
    row = evaluator.measure(_sample(_record(57, boxes=3)), reply)
    assert evaluator.summarize([row])["MAE"] == 55
