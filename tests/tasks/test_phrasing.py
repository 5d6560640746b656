"""Questions ask for every name, in the order of the answer."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest
from PIL import Image

from superlink.data import AnnotatedImage, AnnotatedObject, CountedImage, ReferringImage
from superlink.evaluation.detection import DetectionEvaluator
from superlink.tasks.counting import counting_conversation
from superlink.tasks.detection import detection_conversation, text_only_conversation
from superlink.tasks.grounding import grounding_conversation
from superlink.tasks.phrasing import class_question
from superlink.tasks.salience import salience_conversation
from superlink.tasks.semantic import semantic_conversation
from superlink.testing.models import toy_model

ODD_NAMES = (
    *("a</p>[BOX]", "[BOX]", "<p>", "</p>", "[DET]", "[KPT] x", "a, b", "x\ny", "{classes}", "{0}"),
    *("<region>", "<|toy.box_0|>", "dog and cat", "Dog", "%s", "\\1", "犬", "dog."),
)


@pytest.fixture(scope="module")
def model():
    return toy_model()


def test_question_lists_all_names_in_order_however_it_is_worded():
    names, questions = ["apple", "boat", "dog"], set()
    for seed in range(300):
        question = class_question("detection", names, random.Random(seed), varied=True)
        assert [question.count(name) for name in names] == [1, 1, 1]
        assert sorted(names, key=question.index) == names
        questions.add(question)
    assert {"find the apple, the boat and the dog", "find the apple, boat and dog"} <= questions
    assert not any("the the" in question for question in questions)
    plain = class_question("detection", names, random.Random(0), varied=False)
    assert plain == "Find: apple, boat, dog"
    assert class_question("detection", ["apple"], random.Random(0), varied=False) == "Find: apple"


def _class_sample(kind, name, training):
    """A conversation about two classes, the second of which is `cat`, or about one."""
    image, mask = Image.new("RGB", (40, 60)), np.ones((60, 40), np.bool_)
    items = tuple(AnnotatedObject(word, (1, 1, 9, 9), mask) for word in (name, "cat"))
    rng, options = random.Random(0), {"token": "[BOX]", "variety": 1.0, "answer_variety": 1.0}
    if kind == "counting":
        return counting_conversation(
            CountedImage(image, name, 1, "k", items[:1]), rng, training, **options
        )
    if kind == "grounding":
        record = ReferringImage(image, name, items[:1], "k")
        return grounding_conversation(record, rng, training, restate=True, **options)
    if kind == "salience":
        return salience_conversation(
            AnnotatedImage(image, items[:1], (name,), "k"), rng, training, **options
        )
    talk = detection_conversation if kind == "detection" else semantic_conversation
    return talk(AnnotatedImage(image, items, (name, "cat"), "k"), rng, training, **options)


def test_no_question_says_an_article_twice():
    names = ["the left apple", "dog"]
    for task in ("detection", "semantic_segmentation"):
        for seed in range(200):
            question = class_question(task, names, random.Random(seed), varied=True)
            assert "the left apple" in question
            assert not re.search(r"\b(the the|every the|a the)\b", question), question


@pytest.mark.parametrize("kind", ["detection", "semantic", "salience", "counting", "grounding"])
@pytest.mark.parametrize("training", [True, False])
def test_names_that_look_like_control_tokens_call_nobody_and_read_as_before(model, kind, training):
    for name in ODD_NAMES:
        sample = _class_sample(kind, name, training)
        names = sample.targets[0]["names"]
        batch = model.processor([sample])
        assert [route.phrase for route in batch["routes"]] == list(names)
        assert all(call.routes == tuple(range(len(names))) for call in batch["calls"])
        assert name in names or kind == "grounding"  # which leaves full stops out


def test_names_that_look_like_control_tokens_are_measured(model):
    for name in ODD_NAMES:
        sample = _class_sample("detection", name, False)
        (reply,) = model.answer([sample], "forced")
        row = DetectionEvaluator().measure(sample, reply)
        assert {tuple(phrase) for phrase in row["phrases"]} == {
            (name, name, "exact"),
            ("cat", "cat", "exact"),
        }
        assert name in reply.text


def test_names_of_a_text_alone_that_look_like_control_tokens_call_nobody(model):
    sample = text_only_conversation(ODD_NAMES, random.Random(0), max_names=99, token="[BOX]")
    batch = model.processor([sample], run_decoders=False)
    assert len(batch["routes"]) == sample.messages[1].text.count("[BOX]")
    assert {route.phrase for route in batch["routes"]} <= {*ODD_NAMES}
