"""Conversations on classes and salient objects that are segmented."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest
import torch
from PIL import Image

from superlink.data import AnnotatedImage, AnnotatedObject
from superlink.errors import ConfigError, InputError
from superlink.interfaces import IMAGE
from superlink.tasks.salience import salience_conversation
from superlink.tasks.semantic import semantic_conversation

CATEGORIES = tuple("door floor lamp sky sofa tree wall".split())


def _mask(column):
    mask = np.zeros((8, 16), np.bool_)
    mask[:, column] = True
    return mask


def _record(*names, categories=CATEGORIES, masks=True, **options):
    objects = tuple(
        AnnotatedObject(name, (i, 0, i + 1, 8), _mask(i) if masks else None)
        for i, name in enumerate(names)
    )
    return AnnotatedImage(Image.new("RGB", (16, 8)), objects, categories, "one", **options)


def _routes(sample):
    return tuple(re.findall(r"<p>(.*?)</p>\[SEG\]", sample.messages[-1].text))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("seed", range(10))
def test_question_answer_and_target_have_one_order(seed, training):
    record = _record("sky", "wall")
    sample = semantic_conversation(record, random.Random(seed), training, variety=0.0)
    (target,) = sample.targets
    asked = tuple(sample.messages[0].text.removeprefix("Segment: ").split(", "))
    assert sample.messages[0].parts[0] is IMAGE
    assert asked == _routes(sample) == target["names"]
    assert [target["names"][label] for label in target["labels"]] == ["sky", "wall"]
    assert (target["masks"].numpy() == np.stack([_mask(0), _mask(1)])).all()
    assert target["size"] == (8, 16)
    assert 2 <= len(asked) <= 6


def test_evaluation_asks_for_some_or_all_absent_classes():
    record = _record("sky")
    names = [
        semantic_conversation(record, random.Random(0), False, absent_classes=n).targets[0]["names"]
        for n in (0, 2, "all")
    ]
    assert names[0] == ("sky",) and len(names[1]) == 3 and names[2] == CATEGORIES


def test_void_and_synonyms_are_in_the_target():
    record = _record("sky", void=_mask(9), synonyms={"sky": ("heaven",)})
    (target,) = semantic_conversation(record, random.Random(0), False).targets
    assert (target["void"].numpy() == _mask(9)).all() and target["synonyms"] == {"sky": ("heaven",)}


def test_image_without_a_known_class_has_masks_of_no_objects():
    (target,) = semantic_conversation(_record(), random.Random(0), True, max_negatives=0).targets
    assert target["masks"].shape == (0, 8, 16) and len(target["names"]) == 1


def test_training_varies_the_words():
    samples = [
        semantic_conversation(
            _record("sky"), random.Random(s), True, variety=1.0, answer_variety=1.0
        )
        for s in range(40)
    ]
    assert len({re.sub("|".join(CATEGORIES), "", s.messages[0].text) for s in samples}) > 10
    assert all(_routes(s) == s.targets[0]["names"] for s in samples)


def test_objects_without_masks_are_refused():
    with pytest.raises(InputError, match="Masks are wanted"):
        semantic_conversation(_record("sky", masks=False), random.Random(0), False)


def _salient(*names, **options):
    return _record(*names, categories=("salient object",), **options)


@pytest.mark.parametrize("names", [(), ("salient object",)])
def test_salient_object_has_one_route_whatever_is_there(names):
    sample = salience_conversation(_salient(*names), random.Random(0), False)
    assert sample.messages[0].parts == (IMAGE, "Segment the salient object.")
    assert sample.messages[1].text == "<p>salient object</p>[SEG]"
    (target,) = sample.targets
    assert target["names"] == ("salient object",)
    assert target["masks"].shape == (len(names), 8, 16) and target["masks"].dtype == torch.bool
    assert target["labels"].tolist() == [0] * len(names)


def test_salient_object_is_asked_for_in_many_words():
    samples = [
        salience_conversation(
            _salient("salient object"), random.Random(s), True, variety=1.0, answer_variety=1.0
        )
        for s in range(40)
    ]
    assert len({s.messages[0].text for s in samples}) > 5
    assert len({s.messages[1].text for s in samples}) > 3
    assert all(_routes(s) == ("salient object",) for s in samples)


def test_salient_objects_of_several_kinds_are_refused():
    with pytest.raises(InputError, match="one category"):
        salience_conversation(_record("sky"), random.Random(0), False)
    with pytest.raises(InputError, match="Masks are wanted"):
        salience_conversation(_salient("salient object", masks=False), random.Random(0), False)
    with pytest.raises(ConfigError, match="routing token"):
        salience_conversation(_salient("salient object"), random.Random(0), False, token="seg")
