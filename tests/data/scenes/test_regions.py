"""Scenes by class: stuff and things, each with what is seen of it."""

from __future__ import annotations

import numpy as np

from superlink.data import (
    SceneConfig,
    SceneDataset,
    draw_scene_and_stuff,
    read_scene_regions,
    scene_names,
    stuff_names,
)


def test_every_pixel_has_a_class():
    for record in read_scene_regions(num_scenes=20, size=64):
        total = np.sum([item.mask.astype(int) for item in record.objects], axis=0)
        assert (total == 1).all() and record.void is None


def test_classes_are_joined_and_boxed():
    for record in read_scene_regions(num_scenes=20, size=64, max_objects=5):
        names = [item.name for item in record.objects]
        assert names == sorted(set(names)) and "sky" in names
        for item in record.objects:
            rows, columns = np.nonzero(item.mask)
            corners = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            assert item.bbox == tuple(map(float, corners))


def test_categories_are_stuff_and_things():
    record = read_scene_regions(num_scenes=1)[0]
    assert record.categories == (*stuff_names(), *scene_names())
    assert len(set(record.categories)) == len(record.categories)


def test_things_are_those_of_the_scene():
    scenes = SceneDataset(num_scenes=10, size=64, max_objects=3, background="landscape")
    for scene, record in zip(scenes, read_scene_regions(num_scenes=10, size=64), strict=True):
        assert (np.asarray(scene.image) == np.asarray(record.image)).all()
        assert scene.key == record.key and "landscape" in scene.key
        assert {item.name for item in scene.objects} <= set(scene_names())
        for item in record.objects:
            if item.name in scene_names():
                same = [other.mask for other in scene.objects if other.name == item.name]
                assert (item.mask == np.any(same, axis=0)).all()


def test_stuff_is_what_objects_leave_of_it():
    scene, stuff = draw_scene_and_stuff(SceneConfig(size=64, background="landscape"), 3)
    covered = np.any([item.mask for item in scene.objects], axis=0)
    assert (np.any(list(stuff.values()), axis=0) == ~covered).all()
    assert draw_scene_and_stuff(SceneConfig(size=64), 3)[1] == {}


def test_splits_and_seeds_differ():
    records = [
        read_scene_regions(split, num_scenes=2, seed=seed, size=64)[index]
        for split in ("train", "val")
        for seed in (0, 1)
        for index in (0, 1)
    ]
    assert len({record.image.tobytes() for record in records}) == 8
    assert len({record.key for record in records}) == 8
