"""Scenes of poses: exact keypoints of two species, and names that mean what they say."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from superlink.data.scenes import read_scene_poses, read_scenes
from superlink.errors import ConfigError


@pytest.fixture(scope="module")
def scenes():
    return [*read_scene_poses(num_scenes=40)]


@pytest.fixture(scope="module")
def figures(scenes):
    return [figure for scene in scenes for figure in scene.objects]


def _words(scene):
    return [(o.name, o.bbox, o.area, o.keypoints.tolist()) for o in scene.objects]


def test_scene_depends_on_its_seed_alone(scenes):
    again = read_scene_poses(num_scenes=40)
    for index in (5, 2):
        assert again.record(index).image.tobytes() == scenes[index].image.tobytes()
        assert _words(again.record(index)) == _words(scenes[index])


# Golden values: what was measured on these scenes holds for these pixels alone.
def test_scenes_stay_as_they_are(scenes):
    digest = hashlib.sha256()
    for scene in scenes[:4]:
        digest.update(scene.image.tobytes())
        digest.update(repr(_words(scene)).encode())
    assert digest.hexdigest()[:16] == "2f6bb6629d2da84a"


def test_scenes_of_other_splits_seeds_and_readers_differ():
    scenes = [read_scene_poses(split, 1, seed)[0] for split in ("train", "val") for seed in (0, 1)]
    scenes.append(read_scenes(num_scenes=1)[0])
    assert len({scene.image.tobytes() for scene in scenes}) == 5
    assert len({scene.key for scene in scenes}) == 5


def test_visible_keypoints_lie_on_the_figure_and_others_are_hidden(figures):
    for figure in figures:
        x, y, visible = figure.keypoints.T
        rows, columns = y.astype(int), x.astype(int)
        assert figure.mask[rows[visible == 2], columns[visible == 2]].all()
        assert set(visible) <= {1, 2}
        if figure.name == "person":
            assert not figure.mask[rows[visible == 1], columns[visible == 1]].any()


def test_keypoints_are_those_of_the_species(scenes):
    sets = scenes[0].keypoint_sets
    assert scenes[0].categories == tuple(sets) == ("horse", "person")
    assert "root of tail" in sets["horse"].names and "left wrist" in sets["person"].names
    for known in sets.values():
        assert len(known.sides) in (7, 8) and len(known) == 17 and known.limbs


@pytest.mark.parametrize("size", [64, 160])
def test_figures_are_of_both_species_and_large(size):
    scenes = [*read_scene_poses(num_scenes=30, size=size, distractors=0.0)]
    assert {item.name for scene in scenes for item in scene.objects} == {"horse", "person"}
    assert {len(scene.objects) for scene in scenes} == {1, 2, 3}
    for scene in scenes:
        assert scene.image.size == (size, size)
        x1, y1, x2, y2 = scene.objects[-1].bbox  # the front one, of which nothing is covered
        assert 0.4 < max(x2 - x1, y2 - y1) / size < 0.87


def test_the_area_is_what_is_seen_of_the_mask(figures):
    for figure in figures:
        assert figure.area == np.count_nonzero(figure.mask) > 0


def test_distractors_are_drawn_and_not_annotated():
    for seed in range(20):
        plain, distracted = (
            read_scene_poses(seed=seed, distractors=share)[0] for share in (0.0, 1.0)
        )
        assert plain.image.tobytes() != distracted.image.tobytes()
        assert {item.name for item in distracted.objects} <= {"horse", "person"}
        assert distracted.objects


def test_figures_told_apart_are_where_their_names_say():
    scenes = [*read_scene_poses(num_scenes=60, attributes=1.0)]
    plain = [*read_scene_poses(num_scenes=60)]
    told = 0
    for scene, before in zip(scenes, plain, strict=True):
        assert scene.image.tobytes() == before.image.tobytes()
        assert {item.name for item in scene.objects} <= set(scene.categories)
        assert set(scene.categories) == scene.keypoint_sets.keys()
        place = {item.name: item.bbox[0] + item.bbox[2] for item in scene.objects}
        for name in ("person", "horse"):
            there = [item for item in before.objects if item.name == name]
            assert len(there) != 1 or place[name] == there[0].bbox[0] + there[0].bbox[2]
            for left, right in (("left", "right"), ("leftmost", "rightmost")):
                if {f"{left} {name}", f"{right} {name}"} <= place.keys():
                    told += 1
                    assert place[f"{left} {name}"] < place[f"{right} {name}"]
    assert told > 8


def test_a_name_of_nothing_is_of_a_class_that_the_scene_lacks():
    absent = set()
    for scene in read_scene_poses(num_scenes=60, attributes=1.0):
        there = {item.name.split()[-1] for item in scene.objects}
        for name in set(scene.categories) - {item.name for item in scene.objects}:
            absent.add(name)
            assert name.split()[-1] not in there
    assert absent == {
        f"{side}{name}" for side in ("", "left ", "right ") for name in ("horse", "person")
    }


@pytest.mark.parametrize("options", [{"attributes": 1.5}, {"distractors": -0.1}])
def test_shares_out_of_bounds_are_refused(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        read_scene_poses(**options)
