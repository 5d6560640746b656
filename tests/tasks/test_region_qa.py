"""Questions on regions as conversations."""

from __future__ import annotations

import random

import numpy as np
import pytest
from PIL import Image

from superlink.data import AnnotatedObject
from superlink.data.questions import RegionQuestion
from superlink.errors import ConfigError, InputError
from superlink.evaluation import question
from superlink.interfaces import IMAGE, REGION
from superlink.tasks.region_qa import region_qa_conversation

MASK = np.zeros((10, 20), bool)
MASK[2:5, 3:9] = True
OBJECTS = (
    AnnotatedObject("person", (3, 2, 9, 5), MASK),
    AnnotatedObject("dog", (10, 0, 20, 10)),
)
CHOICES = (("It is ", 1, "."), (0, " sleeps."), ("Nobody.",))


def _record(**changes):
    fields = {
        "question": ("Who looks at ", 1, "?"),
        "choices": CHOICES,
        "correct": 1,
        "objects": OBJECTS,
        "key": "q/answer",
        "group": "q",
        **changes,
    }
    return RegionQuestion(Image.new("RGB", (20, 10)), **fields)


def _sample(training=False, seed=0, record=None, **options):
    return region_qa_conversation(record or _record(), random.Random(seed), training, **options)


def test_regions_stand_in_question_and_choices():
    sample = _sample()
    assert sample.messages[0].text_with("*") == (
        "*Who looks at dog 1 <region>?\nChoose the right answer by its letter.\n"
        "A. It is dog 1 <region>.\nB. person 2 <region> sleeps.\nC. Nobody."
    )
    assert sample.messages[1].text == "B"
    assert [region.kind for region in sample.regions] == ["box", "box", "mask"]
    assert (sample.regions[2].mask == MASK).all()
    assert sample.targets == ({"names": ("B",), "choices": 3, "step": "answer", "group": "q"},)
    assert len(question(sample).regions) == 3


def test_object_may_have_its_region_in_the_first_place_alone():
    sample = _sample(repeat=False)
    assert sample.messages[0].parts.count(REGION) == len(sample.regions) == 2
    assert "It is dog 1." in sample.messages[0].text


def test_reason_is_asked_for_beside_the_answer():
    record = _record(step="rationale", given=(0, " sleeps."), key="q/rationale")
    sample = _sample(record=record)
    assert "?\nAnswer: person 2 <region> sleeps.\nWhy?" in sample.messages[0].text_with("")
    assert sample.targets[0]["step"] == "rationale"


def test_training_shuffles_choices_and_varies_words():
    samples = [_sample(True, seed, variety=1.0) for seed in range(30)]
    assert {sample.messages[1].text for sample in samples} == {"A", "B", "C"}
    for sample in samples:
        letter = sample.messages[1].text
        (line,) = (
            line for line in sample.messages[0].text_with("").splitlines() if " sleeps" in line
        )
        assert line.startswith(f"{letter}. person 2") or line.startswith(f"{letter}. person 1")
        assert sample.targets == () and sample.messages[0].parts[0] is IMAGE
    assert {_sample(True, seed, shuffle=False).messages[1].text for seed in range(9)} == {"B"}
    assert samples[3].messages == _sample(True, 3, variety=1.0).messages


def test_kinds_of_regions_may_be_chosen():
    assert _sample(prompts="circle").regions[2].kind == "circle"
    with pytest.raises(ConfigError, match="Visual prompts"):
        _sample(prompts="ear")


@pytest.mark.parametrize(
    "changes",
    [
        {"choices": CHOICES[:1], "correct": 0},
        {"correct": 3},
        {"correct": -1},
        {"question": ()},
        {"question": ("Who is ", 2)},
        {"given": (5,)},
        {"objects": ()},
        {"objects": (OBJECTS[0], AnnotatedObject("dog", (10, 0, 30, 10)))},
    ],
)
def test_question_that_does_not_hold_together_raises(changes):
    with pytest.raises(InputError, match="Received"):
        _record(**changes)
