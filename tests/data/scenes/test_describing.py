"""Described scenes call each object by what means it alone, and know what is absent."""

from __future__ import annotations

import random

from superlink.data.scenes import read_described_scenes, read_scene_phrases, read_scenes
from superlink.data.scenes.referring import expressions_of
from superlink.tasks.detection import detection_conversation

NUM = 30


def test_each_name_means_its_object_alone():
    described = read_described_scenes(num_scenes=NUM, seed=3)
    scenes = read_scenes(num_scenes=NUM, seed=3, num_kinds=2)
    distinctive = 0
    for record, scene in zip(described, scenes, strict=True):
        meant = {text: item.bbox for text, item in expressions_of(scene)}
        names = [item.name for item in record.objects]
        assert len(set(names)) == len(names)
        for item in record.objects:
            assert meant[item.name] == item.bbox
        distinctive += sum(len(name.split()) > 2 for name in names)
    assert distinctive > NUM / 2


def test_absent_names_are_of_classes_that_the_scene_lacks():
    described = read_described_scenes(num_scenes=NUM)
    scenes = read_scenes(num_scenes=NUM, num_kinds=2)
    for record, scene in zip(described, scenes, strict=True):
        present = {item.name for item in scene.objects}
        absent = set(record.categories) - {item.name for item in record.objects}
        assert {name.split()[-1] for name in absent} == set(scene.categories) - present


def test_they_are_asked_for_as_classes_are():
    record = read_described_scenes(num_scenes=NUM)[0]
    sample = detection_conversation(record, random.Random(0), False, token="[GRD]")
    target = sample.targets[0]
    names = [target["names"][label] for label in target["labels"].tolist()]
    assert names == [item.name for item in record.objects]
    assert sample.messages[-1].text.count("[GRD]") == len(target["names"])


def test_a_record_is_the_same_each_time():
    one, other = (read_described_scenes(num_scenes=NUM)[4] for _ in range(2))
    assert one.categories == other.categories
    assert [item.name for item in one.objects] == [item.name for item in other.objects]


def test_phrases_without_a_scene_are_those_that_scenes_use():
    (phrases,) = read_scene_phrases()
    assert len(set(phrases)) == len(phrases)
    described = read_described_scenes(num_scenes=NUM)
    used = {item.name for record in described for item in record.objects}
    assert {name for name in used if " of " not in name} <= set(phrases)
