"""Expressions mean exactly one object of their scene, or nothing in it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from superlink.data.scenes.captions import plural
from superlink.data.scenes.counting import read_scene_counts
from superlink.data.scenes.referring import expressions_of, read_scene_expressions
from superlink.data.schema import AnnotatedImage, AnnotatedObject
from superlink.errors import ConfigError


def _scene(*objects):
    return AnnotatedImage(Image.new("RGB", (100, 100)), objects, ("apple", "cat", "dog"), "one")


LEFT = AnnotatedObject("apple", (0, 40, 20, 60))
RIGHT = AnnotatedObject("apple", (60, 42, 100, 82))
DOG = AnnotatedObject("dog", (40, 0, 60, 20))


def _texts(*objects):
    found = {}
    for text, item in expressions_of(_scene(*objects)):
        assert text not in found
        found[text] = item
    return found


def test_one_of_its_class_is_named():
    assert _texts(DOG) == {"the dog": DOG}


def test_two_of_a_class_are_told_apart_by_place_and_size():
    assert _texts(LEFT, RIGHT) == {
        **{"the left apple": LEFT, "the right apple": RIGHT},
        **{"the upper apple": LEFT, "the lower apple": RIGHT},
        **{"the smaller apple": LEFT, "the larger apple": RIGHT},
    }


def test_three_of_a_class_have_extremes_only():
    middle = AnnotatedObject("apple", (25, 41, 50, 66))
    found = _texts(LEFT, middle, RIGHT)
    assert found["the leftmost apple"] is LEFT
    assert found["the rightmost apple"] is RIGHT
    assert middle not in found.values()


def test_relations_need_an_anchor_that_is_alone():
    found = _texts(LEFT, RIGHT, DOG)
    assert found["the apple left of the dog"] is LEFT
    assert found["the apple right of the dog"] is RIGHT
    assert not any("of the apple" in text for text in found)


def test_what_is_not_clear_is_not_said():
    twin = AnnotatedObject("apple", (2, 41, 22, 61))
    assert _texts(LEFT, twin) == {}


def test_scenes_have_expressions_and_some_mean_nothing():
    records = read_scene_expressions(num_scenes=60, size=64, max_objects=5)
    absent = [record for record in records if not record.objects]
    assert 1 <= len(absent) <= 20
    again = read_scene_expressions(num_scenes=60, size=64, max_objects=5)
    assert [r.expression for r in again] == [r.expression for r in records]
    words = " ".join(record.expression for record in records)
    assert "left" in words and "smaller" in words


def test_num_kinds_bounds_the_classes_of_a_scene():
    scenes = read_scene_counts(num_scenes=30, size=64, num_kinds=1).scenes
    assert all(len({item.name for item in scene.objects}) == 1 for scene in scenes)


def test_counts_are_those_of_the_objects():
    records = list(read_scene_counts(num_scenes=60, size=64))
    assert {record.count for record in records} >= {0, 1, 2, 3}
    for record in records:
        assert record.count == len(record.objects)
        assert all(plural(item.name) == record.name for item in record.objects)
    assert np.mean([record.count == 0 for record in records]) < 0.4


@pytest.mark.parametrize("read", [read_scene_counts, read_scene_expressions])
def test_share_outside_of_its_range_is_refused(read):
    with pytest.raises(ConfigError, match="absent"):
        read(absent=1.5)
