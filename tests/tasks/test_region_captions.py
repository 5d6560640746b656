"""Something is marked and described."""

from __future__ import annotations

import random

import numpy as np
import pytest
from PIL import Image

from superlink.data import AnnotatedObject, DescribedRegion
from superlink.errors import ConfigError, InputError
from superlink.interfaces import IMAGE, REGION
from superlink.tasks.region_captions import region_caption_conversation

SIZE = (8, 16)
CUP = AnnotatedObject("region", (2, 2, 6, 7))


def _record(*descriptions, marked=CUP):
    return DescribedRegion(Image.new("RGB", SIZE[::-1]), marked, descriptions, "one")


def _sample(record, seed=0, training=False, **options):
    return region_caption_conversation(record, random.Random(seed), training, **options)


def test_evaluation_asks_plainly_and_knows_all_descriptions():
    sample = _sample(_record("a red cup", "the cup in front"))
    assert sample.messages[0].parts == (IMAGE, "Describe ", REGION, ".")
    assert sample.messages[1].text == "a red cup"
    assert sample.targets[0]["references"] == ("a red cup", "the cup in front")
    assert sample.targets[0]["prompts"] == ("box",)
    assert sample.regions[0].points == ((2, 2), (6, 7)) and sample.regions[0].image == 0


def test_training_draws_words_and_one_of_the_descriptions():
    record = _record("a red cup", "the cup in front")
    samples = [_sample(record, seed, True, variety=0.5) for seed in range(40)]
    assert {s.messages[1].text for s in samples} == {"a red cup", "the cup in front"}
    assert len({s.messages[0].text for s in samples}) > 5
    assert all(s.targets == () for s in samples)


def test_description_with_a_control_token_calls_nobody():
    assert "[DET]" not in _sample(_record("a sign: [DET]")).messages[1].text


def test_what_cannot_be_marked_or_says_nothing_is_refused():
    empty = AnnotatedObject("cup", (2, 2, 6, 7), np.zeros(SIZE, np.bool_))
    with pytest.raises(InputError, match=r"empty mask in record 'one'"):
        _sample(_record("a cup", marked=empty))
    with pytest.raises(InputError, match="box alone"):
        _sample(_record("a cup"), prompts="scribble")
    with pytest.raises(ConfigError, match="Visual prompts"):
        _sample(_record("a cup"), prompts="arrow")


@pytest.mark.parametrize("descriptions", [(), ("a cup", " ")])
def test_record_without_words_is_refused(descriptions):
    with pytest.raises(InputError, match="each must say something"):
        _record(*descriptions)


def test_box_outside_of_the_image_is_refused():
    with pytest.raises(InputError, match="inside of the image"):
        _record("a cup", marked=AnnotatedObject("region", (2, 2, 17, 7)))
