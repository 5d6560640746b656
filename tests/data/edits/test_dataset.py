"""Pictures before and after differ in what the instruction names, pixel by pixel."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from superlink.data.edits import EDIT_KINDS, changed_pixels, read_scene_edits
from superlink.errors import ConfigError


@pytest.mark.parametrize("kind", EDIT_KINDS)
def test_pictures_are_equal_outside_of_what_changed_and_differ_inside(kind):
    for record in read_scene_edits("val", 40, kinds=kind)[:]:
        before, after = np.asarray(record.open()), np.asarray(record.open_edited())
        assert before.shape == after.shape == (64, 64, 3)
        assert record.changed.shape == (64, 64) and record.changed.dtype == np.bool_
        assert np.array_equal(before[~record.changed], after[~record.changed])
        assert 20 < (before != after).any(axis=2).sum() < record.changed.sum() < 64 * 64 / 2
        assert record.attributes["kind"] == kind
        assert f"{record.attributes['object']}" in record.instruction


def test_changed_pixels_are_those_that_differ_and_those_beside_them():
    before = Image.new("RGB", (6, 5))
    after = before.copy()
    after.putpixel((0, 2), (0, 0, 1))
    expected = np.zeros((5, 6), np.bool_)
    expected[1:4, :2] = True
    assert np.array_equal(changed_pixels(before, after), expected)
    assert not changed_pixels(before, before).any()


def test_captions_say_what_changes():
    for record in read_scene_edits(num_edits=60)[:]:
        before, after = record.captions
        kind, name = record.attributes["kind"], record.attributes["object"]
        assert (name in before) == (kind != "add") and (name in after) == (kind != "remove")
        assert before.count(name) <= 1 and before != after
        if kind == "recolour":
            assert f"{record.attributes['colour']} {name}" in after
        if kind in ("add", "move"):
            assert record.attributes["position"] in after


def test_split_seed_and_index_decide_all_and_nothing_is_drawn_twice():
    first, again = read_scene_edits(num_edits=3), read_scene_edits(num_edits=9)
    for index in (2, 0, 1):
        a, b = first[index], again[index]
        assert (a.key, a.instruction) == (b.key, b.instruction)
        assert a.open().tobytes() == b.open().tobytes()
        assert a.open_edited().tobytes() == b.open_edited().tobytes()
    sets = [
        read_scene_edits(s, 5, seed, kinds=k)
        for s in ("train", "val")
        for seed in (0, 1)
        for k in (EDIT_KINDS, ("add",))
    ]
    assert len({record.key for some in sets for record in some[:]}) == 40


def test_all_kinds_come_about_as_often_and_scenes_have_one_to_three_objects():
    records = read_scene_edits(num_edits=400)[:]
    kinds = Counter(record.attributes["kind"] for record in records)
    assert set(kinds) == set(EDIT_KINDS) and min(kinds.values()) > 70
    numbers = Counter(max(_number(text) for text in record.captions) for record in records)
    assert set(numbers) == {1, 2, 3}
    assert max(map(_number, read_scene_edits(num_edits=1, max_objects=1)[0].captions)) == 1


def _number(caption):
    listed = caption.removeprefix("a picture of ").replace(" and ", ", ").split(", ")
    return 0 if "nothing" in caption else len(listed)


@pytest.mark.parametrize(
    "options",
    [
        {"split": "test"},
        {"num_edits": 0},
        {"seed": -1},
        {"size": 40},
        {"max_objects": 0},
        {"kinds": ("paint",)},
        {"kinds": ()},
    ],
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ConfigError, match=str(next(iter(options)))):
        read_scene_edits(**options)
