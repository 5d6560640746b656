"""What is marked here: turns with a region each, and names as answers."""

from __future__ import annotations

import random

import numpy as np
import pytest
from PIL import Image

from superlink.data import AnnotatedImage, AnnotatedObject
from superlink.errors import ConfigError, InputError
from superlink.interfaces import IMAGE, REGION
from superlink.tasks.recognition import recognition_conversation

SIZE = (8, 16)
NAMES = ("cup", "dog", "left shoe", "[DET]")


def _mask(column):
    mask = np.zeros(SIZE, np.bool_)
    mask[1:7, column : column + 2] = True
    return mask


def _object(index, mask=True):
    column = 4 * index
    return AnnotatedObject(
        NAMES[index], (column, 1, column + 2, 7), _mask(column) if mask else None
    )


def _record(*objects):
    return AnnotatedImage(Image.new("RGB", SIZE[::-1]), objects, (*NAMES, "right shoe"), "one")


def _sample(record, seed=0, training=False, **options):
    return recognition_conversation(record, random.Random(seed), training, **options)


def test_evaluation_asks_for_one_object():
    sample = _sample(_record(_object(1)), prompts="point")
    assert sample.messages[0].parts == (IMAGE, "What is ", REGION, "?")
    assert sample.messages[1].text == "dog"
    (target,) = sample.targets
    assert target["names"] == ("dog",) and target["prompts"] == ("point",)
    assert target["bboxes"].tolist() == [[4, 1, 6, 7]] and target["masks"].shape == (1, *SIZE)


def test_candidates_are_the_names_of_the_record_and_hold_the_right_one():
    record = _record(_object(1))
    (target,) = _sample(record).targets
    assert target["candidates"] == tuple(sorted((*NAMES, "right shoe")))
    drawn = {_sample(record, seed, max_names=2).targets[0]["candidates"] for seed in range(40)}
    assert {len(names) for names in drawn} == {2} and len(drawn) == 4
    assert all("dog" in names and names == tuple(sorted(names)) for names in drawn)
    with pytest.raises(ConfigError, match="max_names=0"):
        _sample(record, max_names=0)


def test_each_object_of_an_image_may_be_the_one():
    record = _record(*map(_object, range(3)))
    assert {_sample(record, s).messages[1].text for s in range(30)} == set(NAMES[:3])
    assert {len(_sample(record, s).regions) for s in range(30)} == {1}


@pytest.mark.parametrize("seed", range(10))
def test_training_has_a_turn_for_each_of_some_objects(seed):
    record = _record(*map(_object, range(3)))
    sample = _sample(record, seed, True, prompts="mask", max_regions=2)
    answers = [message.text for message in sample.messages[1::2]]
    assert 1 <= len(answers) == len(sample.regions) <= 2 and len(set(answers)) == len(answers)
    for region, answer in zip(sample.regions, answers, strict=True):
        assert (region.raster(SIZE) == _mask(4 * NAMES.index(answer))).all() and region.image == 0
    assert [m.num_images for m in sample.messages[::2]] == [1] + [0] * (len(answers) - 1)
    assert sample.targets == ()


def test_training_varies_the_words():
    record = _record(_object(0))
    texts = {_sample(record, s, True, variety=1.0).messages[0].text for s in range(60)}
    assert len(texts) > 8


def test_mirrored_names_change_sides():
    sample = _sample(_record(_object(2)), training=True, flip=1.0, prompts="mask")
    assert sample.messages[1].text == "right shoe"
    assert (sample.regions[0].raster(SIZE) == _mask(6)).all()


def test_name_that_looks_like_a_routing_token_calls_nobody():
    text = _sample(_record(_object(3))).messages[1].text
    assert text != "[DET]" and text.replace("\u2060", "") == "[DET]"


def test_object_without_a_mask_is_marked_by_its_box_and_one_without_pixels_is_not():
    empty = AnnotatedObject("cup", (0, 1, 2, 7), np.zeros(SIZE, np.bool_))
    for seed in range(8):
        sample = _sample(_record(empty, _object(1, mask=False)), seed)
        assert sample.messages[1].text == "dog" and sample.regions[0].kind == "box"
    with pytest.raises(InputError, match=r"no empty mask of it.*'one'"):
        _sample(_record(empty))


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(ConfigError, match="at least one turn"):
        _sample(_record(_object(0)), max_regions=0)
    with pytest.raises(ConfigError, match="Visual prompts"):
        _sample(_record(_object(0)), prompts=())
