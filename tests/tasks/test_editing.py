"""An image and an instruction, and the edited picture as the target of the one route."""

from __future__ import annotations

import random

import numpy as np
import pytest
from PIL import Image

from superlink.data import EditedImage, read_scene_edits
from superlink.errors import ConfigError, InputError
from superlink.interfaces import IMAGE
from superlink.tasks.editing import editing_conversation


def _record(instruction="remove the dog", **fields):
    before, after = Image.new("RGB", (8, 6), "red"), Image.new("RGB", (8, 6), "blue")
    return EditedImage(before, instruction, after, "one", **fields)


def _sample(record, seed=0, training=False, **options):
    return editing_conversation(record, random.Random(seed), training, **options)


def test_evaluation_asks_plainly_and_has_both_pictures():
    changed = np.zeros((6, 8), np.bool_)
    sample = _sample(_record(changed=changed, attributes={"kind": "remove"}))
    assert sample.messages[0].parts == (IMAGE, "remove the dog.")
    assert sample.messages[1].text == "Here it is[EDIT]."
    assert [image.getpixel((0, 0)) for image in sample.images] == [(255, 0, 0)]
    (target,) = sample.targets
    assert target["images"][0].getpixel((0, 0)) == (0, 0, 255)
    assert target["captions"] == ("remove the dog",)
    assert target["attributes"] == ({"kind": "remove"},)
    assert target["changed"][0] is changed


def test_what_may_change_is_none_where_it_is_not_known():
    assert _sample(_record()).targets[0]["changed"] == (None,)


def test_training_varies_the_words_and_says_the_instruction_in_all_of_them():
    samples = [
        _sample(_record(), seed, True, variety=0.8, answer_variety=0.5) for seed in range(60)
    ]
    questions = {sample.messages[0].text for sample in samples}
    assert len(questions) > 6 and all("remove the dog" in text for text in questions)
    answers = {sample.messages[1].text for sample in samples}
    assert len(answers) > 3 and all(text.count("[EDIT]") == 1 for text in answers)


@pytest.mark.parametrize(
    ("instruction", "question"),
    [
        ("Make it night!", "Make it night!"),
        ("entferne den Hund", "entferne den Hund."),
        ("what if it were {snow}?", "what if it were {snow}?"),
        ("write [EDIT] on it", "write [EDIT] on it."),
    ],
)
def test_instructions_go_in_as_they_are(instruction, question):
    assert _sample(_record(instruction)).messages[0].text == question


def test_an_instruction_must_say_something_and_the_token_be_one():
    with pytest.raises(InputError, match="instruction"):
        _record(" ")
    with pytest.raises(ConfigError, match="edit"):
        _sample(_record(), token="[edit]")


def test_built_in_edits_become_samples():
    record = read_scene_edits(num_edits=1)[0]
    sample = _sample(record)
    assert sample.messages[0].text == f"{record.instruction}."
    assert sample.images[0].size == sample.targets[0]["images"][0].size == (64, 64)
