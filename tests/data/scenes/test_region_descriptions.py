"""Objects of scenes in words."""

from __future__ import annotations

import numpy as np
import pytest

from superlink.data import AnnotatedObject, read_scene_descriptions, read_scenes
from superlink.data.scenes.region_descriptions import describe_object, read_scenes_by_description


@pytest.mark.parametrize(
    ("name", "size", "position", "text"),
    [
        ("apple", "small", "top left", "a small apple at the top left"),
        ("apple", "medium", "middle", "an apple in the middle"),
        ("dog", "large", "right", "a large dog on the right"),
        ("bus", "medium", "bottom", "a bus at the bottom"),
    ],
)
def test_an_object_is_told_by_size_and_place(name, size, position, text):
    attributes = {"size": size, "position": position}
    assert describe_object(AnnotatedObject(name, (0, 0, 1, 1), attributes=attributes)) == text


def test_each_scene_has_one_of_its_objects_described():
    records = read_scene_descriptions(split="val", num_scenes=8)
    scenes = read_scenes(split="val", num_scenes=8)
    assert len(records) == 8
    places = set()
    for record, scene in zip(records, scenes, strict=True):
        (index,) = (
            i for i, o in enumerate(scene.objects) if np.array_equal(o.mask, record.marked.mask)
        )
        assert record.key == f"{scene.key}/{index}"
        assert record.descriptions == (describe_object(scene.objects[index]),)
        places.add(index)
    assert len(places) > 1
    assert records[3].descriptions == records[3].descriptions


def test_scenes_may_call_their_objects_by_description():
    plain = read_scenes(num_scenes=4, seed=3)
    for index, scene in enumerate(read_scenes_by_description(num_scenes=4, seed=3)):
        objects = plain[index].objects
        assert [item.name for item in scene.objects] == [*map(describe_object, objects)]
        assert [item.bbox for item in scene.objects] == [item.bbox for item in objects]
