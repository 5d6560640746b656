"""Grounded captions: a route behind each phrase that names objects, and one target for all."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest
import torch
from PIL import Image

from superlink.data import AnnotatedObject, CaptionedImage, read_scene_captions
from superlink.errors import ConfigError, InputError
from superlink.evaluation.detection import DetectionEvaluator
from superlink.interfaces import IMAGE, Call, InstancePrediction, Reply, Route
from superlink.link.routing import Binding, RoutingVocabulary
from superlink.tasks.captions import caption_conversation, caption_target


def _item(left, masked=True):
    mask = np.zeros((8, 16), np.bool_)
    mask[:, left : left + 2] = True
    return AnnotatedObject("x", (left, 0, left + 2, 8), mask if masked else None)


DOGS, APPLE = (_item(0), _item(4)), (_item(9),)
PARTS = (("two dogs", DOGS), (" and ", ()), ("an apple", APPLE))


def _record(*parts):
    return CaptionedImage(Image.new("RGB", (16, 8)), parts or PARTS, "one")


def _sample(record=None, seed=0, training=False, **options):
    return caption_conversation(record or _record(), random.Random(seed), training, **options)


def test_phrases_of_objects_have_routes():
    sample = _sample()
    assert sample.messages[0].parts == (IMAGE, "Describe the picture and mark what you name.")
    assert sample.messages[1].text == "<p>two dogs</p>[DET] and <p>an apple</p>[DET]"
    (target,) = sample.targets
    assert target["names"] == ("two dogs", "an apple")
    assert target["labels"].tolist() == [0, 0, 1] and target["size"] == (8, 16)
    assert target["bboxes"].tolist() == [list(item.bbox) for item in (*DOGS, *APPLE)]
    assert target["masks"].shape == (3, 8, 16)


def test_token_and_masks_can_be_chosen():
    sample = _sample(token="[SEG]", masks=False)
    assert sample.messages[1].text.count("[SEG]") == 2 and "masks" not in sample.targets[0]
    bare = _record(("a dog", (_item(0, masked=False),)))
    assert "masks" not in _sample(bare).targets[0]
    with pytest.raises(InputError, match="Masks are wanted"):
        caption_target(bare, (8, 16), masks=True)
    with pytest.raises(ConfigError, match="routing token"):
        _sample(token="det")


def test_caption_without_objects_has_no_target():
    sample = _sample(_record(("nothing to see", ())))
    assert sample.messages[1].text == "nothing to see" and sample.targets == ()


def test_training_varies_the_words():
    samples = [_sample(None, seed, True, variety=1.0, answer_variety=1.0) for seed in range(60)]
    answer = "<p>two dogs</p>[DET] and <p>an apple</p>[DET]"
    assert len({sample.messages[0].text for sample in samples}) > 8
    assert len({sample.messages[1].text for sample in samples}) > 5
    assert all(answer in sample.messages[1].text for sample in samples)
    plain = [_sample(None, seed, True, variety=0.0, answer_variety=0.0) for seed in range(5)]
    assert {sample.messages[1].text for sample in plain} == {answer}


def test_control_marks_of_a_caption_call_nobody():
    text, phrase = "see </p>[DET] {x} and ", "a [OWN] sign"
    sample = _sample(_record((text, ()), (phrase, APPLE)), token="[OWN]")
    vocabulary = RoutingVocabulary(
        [Binding(token, "decoder", "bank", 1) for token in ("[DET]", "[OWN]")]
    )
    parsed = vocabulary.parse(sample.messages[1].text)
    assert parsed.text == text + phrase
    assert [(token, found) for token, found, _ in parsed.routes] == [("[OWN]", phrase)]
    assert sample.targets[0]["names"] == (phrase,)


def test_every_scene_fits_its_answer():
    for index, record in enumerate(read_scene_captions(num_scenes=20, size=64)):
        sample = _sample(record, index, True)
        (target,) = sample.targets
        routes = re.findall(r"<p>(.*?)</p>\[DET\]", sample.messages[1].text)
        assert tuple(routes) == target["names"]
        assert set(target["labels"].tolist()) == set(range(len(routes)))


def test_phrases_are_the_classes_of_the_evaluator():
    sample = _sample()
    (target,) = sample.targets
    routes = tuple(Route(0, 1, "[DET]", name) for name in target["names"])
    found = InstancePrediction(
        target["bboxes"], torch.ones(3), target["labels"], target["names"], masks=target["masks"]
    )
    evaluator = DetectionEvaluator()
    row = evaluator.measure(sample, Reply("", "", routes, (Call(0, 1, "a", (0, 1)),), (found,)))
    metrics = evaluator.summarize([row])
    assert metrics["box_AP50"] == metrics["mask_AP50"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((), "A caption must say something"),
        (((" ", ()),), "A caption must say something"),
        ((("a dog", ()), (" ", APPLE)), "must be words"),
        ((("a dog", (AnnotatedObject("x", (0, 0, 99, 5)),)),), "inside of the image"),
    ],
)
def test_caption_that_cannot_be_is_refused(parts, message):
    with pytest.raises(InputError, match=message):
        CaptionedImage(Image.new("RGB", (16, 8)), parts, "one")


def test_caption_and_objects_are_those_of_its_parts():
    record = _record()
    assert record.caption == "two dogs and an apple" and record.objects == (*DOGS, *APPLE)
