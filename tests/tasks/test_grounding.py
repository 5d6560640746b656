"""Grounding conversations: one route to what an expression means."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from PIL import Image

from superlink.data import AnnotatedObject, ReferringImage
from superlink.errors import ConfigError, InputError
from superlink.evaluation.grounding import GroundingEvaluator
from superlink.interfaces import IMAGE, Call, InstancePrediction, Reply, Route
from superlink.tasks.grounding import grounding_conversation
from superlink.tasks.phrasing import load_templates

MASK = np.eye(8, 16, dtype=np.bool_)


def _record(expression="the red cup", *objects, **options):
    return ReferringImage(Image.new("RGB", (16, 8)), expression, objects, "one", **options)


def _object(mask=None):
    return AnnotatedObject("cup", (1, 2, 5, 6), mask)


def _sample(record, seed=0, training=False, **options):
    return grounding_conversation(record, random.Random(seed), training, **options)


def test_expression_is_asked_for_and_answered_with_one_route():
    sample = _sample(_record("the red cup", _object(MASK)))
    assert sample.messages[0].parts == (IMAGE, "Where is the red cup?")
    assert sample.messages[1].text == "It is here: [GRD]."
    (target,) = sample.targets
    assert target["names"] == ("",) and target["labels"].tolist() == [0]
    assert target["bboxes"].tolist() == [[1, 2, 5, 6]] and target["size"] == (8, 16)
    assert (target["masks"][0].numpy() == MASK).all() and "void" not in target
    assert sample.key == "one"


def test_all_that_an_expression_means_is_in_the_target():
    sample = _sample(_record("the cups", _object(), _object()))
    assert sample.targets[0]["labels"].tolist() == [0, 0]
    assert sample.messages[1].text.count("[GRD]") == 1


def test_question_is_asked_as_it_is():
    sample = _sample(_record("What could one drink from? ", _object()))
    assert sample.messages[0].text == "What could one drink from?"


def test_record_may_say_whether_it_is_a_sentence():
    long = "People cool down with something. Please find it."
    sample = _sample(_record(long, _object(), is_sentence=True))
    assert sample.messages[0].text == long
    sample = _sample(_record("the fan", _object(), is_sentence=False))
    assert sample.messages[0].text == "Where is the fan?"


def test_full_stop_does_not_stand_inside_of_a_question():
    assert _sample(_record("A red cup.", _object())).messages[0].text == "Where is A red cup?"


def test_what_is_not_there_has_no_route_and_no_target():
    sample = _sample(_record("the blue cup"))
    assert sample.messages[1].text == "There is no such thing."
    assert sample.targets == ()


def test_pixels_of_which_nothing_is_known_are_in_the_target():
    sample = _sample(_record("the red cup", _object(MASK), void=~MASK))
    assert (sample.targets[0]["void"].numpy() == ~MASK).all()


@pytest.mark.parametrize("expression", ["the red cup", "What could one drink from?"])
def test_training_varies_words_and_nothing_else(expression):
    record = _record(expression, _object(MASK))
    samples = [_sample(record, seed, True, variety=1.0, answer_variety=1.0) for seed in range(40)]
    assert len({sample.messages[0].text for sample in samples}) > 4
    assert len({sample.messages[1].text for sample in samples}) > 4
    for sample in samples:
        assert expression in sample.messages[0].text
        assert sample.messages[1].text.count("[GRD]") == 1
        assert torch.equal(sample.targets[0]["masks"], samples[0].targets[0]["masks"])
    assert samples[3].messages == _sample(record, 3, True, variety=1.0, answer_variety=1.0).messages


def test_evaluation_uses_the_first_templates():
    texts = {_sample(_record("it", _object()), seed, variety=1.0).messages for seed in range(10)}
    assert len(texts) == 1
    assert load_templates("grounding")["expression"]["plain"] == ("Where is {expression}?",)


def test_token_and_masks_may_be_chosen():
    record = _record("the red cup", _object())
    assert _sample(record, token="[DET]").messages[1].text == "It is here: [DET]."
    with pytest.raises(ConfigError, match="routing token"):
        _sample(record, token="grd")
    with pytest.raises(InputError, match="Masks are wanted"):
        _sample(record, masks=True)


def test_evaluator_takes_the_samples():
    found = InstancePrediction(
        torch.tensor([[1.0, 2, 5, 6]]),
        torch.tensor([0.9]),
        torch.tensor([0]),
        ("",),
        torch.from_numpy(MASK)[None],
    )
    reply = Reply("", "", (Route(0, 1, "[GRD]"),), (Call(0, 1, "a", (0,)),), (found,))
    nothing = Reply("", "")
    evaluator = GroundingEvaluator()
    rows = [
        evaluator.measure(_sample(_record("the red cup", _object(MASK))), reply),
        evaluator.measure(_sample(_record("the blue cup")), nothing),
    ]
    metrics = evaluator.summarize(rows)
    assert metrics["P@0.5"] == metrics["gIoU"] == metrics["no_target_accuracy"] == 1


def test_answer_may_say_again_what_is_asked_for():
    sample = _sample(_record("the red cup.", _object(MASK)), restate=True)
    assert sample.messages[1].text == "It is here: <p>the red cup</p>[GRD]."
    assert sample.targets[0]["names"] == ("the red cup",)
    assert _sample(_record(), restate=True).messages[1].text == _sample(_record()).messages[1].text
