"""Each kind of edit does what its instruction says, and nothing else."""

from __future__ import annotations

import random

import numpy as np
import pytest

from superlink.data.edits.items import PLACES, known_sprite, recolourings, tinted
from superlink.data.edits.making import EDIT_KINDS, make_edit, other_item
from superlink.data.icons import COLOURS, POSITIONS
from superlink.data.scenes.drawings import DRAWINGS, drawing_codes

SIZE = 64


def _edits(kind, name="dog", number=30):
    return [make_edit(kind, name, SIZE, random.Random(seed)) for seed in range(number)]


def test_removing_leaves_nothing_and_adding_finds_nothing():
    for edit in _edits("remove"):
        assert edit.instruction == "remove the dog" and edit.after is None
        assert edit.items == (edit.before,)
    edits = _edits("add", "apple")
    assert all(edit.before is None for edit in edits)
    assert {edit.instruction for edit in edits} == {f"add an apple {p}" for p in POSITIONS.values()}


def test_what_is_added_looks_the_same_each_time_and_stands_where_it_is_asked():
    for edit in _edits("add", "car"):
        item = edit.after
        assert item.sprite.tobytes() == known_sprite("car", SIZE).tobytes()
        place = [value * SIZE for value in PLACES[edit.attributes["position"]]]
        assert np.abs(np.subtract(item.middle, place)).max() <= 1


def test_moving_keeps_the_look_and_goes_a_way_that_is_seen():
    for edit in _edits("move", "fish"):
        assert edit.before.sprite is edit.after.sprite
        assert edit.instruction == f"move the fish to the {edit.attributes['position']}"
        assert np.abs(np.subtract(edit.before.middle, edit.after.middle)).max() >= SIZE / 4


def test_recolouring_keeps_shape_and_place_and_is_seen():
    for edit in _edits("recolour", "cat"):
        before, after = edit.before, edit.after
        assert edit.instruction == f"make the cat {edit.attributes['colour']}"
        assert before.corner == after.corner
        assert after.sprite.getchannel("A").tobytes() == before.sprite.getchannel("A").tobytes()
        assert before.sprite.tobytes() != after.sprite.tobytes()


def test_every_class_can_be_recoloured_and_nothing_in_the_colour_that_it_has():
    for name in DRAWINGS:
        assert any(recolourings(code) for code in drawing_codes(name, "seen")), name
    red_apple, black_cat = "1F34E", "1F408-200D-2B1B"
    assert "red" not in recolourings(red_apple) and "blue" in recolourings(red_apple)
    assert recolourings(black_cat) == ()
    assert all(tinted(black_cat, colour).mode == "RGBA" for colour in COLOURS)


@pytest.mark.parametrize("kind", EDIT_KINDS)
def test_objects_lie_inside_of_the_picture_and_are_large_enough_to_see(kind):
    for name in DRAWINGS:
        for edit in _edits(kind, name, 10):
            for item in edit.items:
                (x, y), (width, height) = item.corner, item.sprite.size
                assert min(x, y) >= 0 and x + width <= SIZE and y + height <= SIZE
                assert max(width, height) >= 16


def test_items_are_apart_where_a_pixel_is_between_their_boxes():
    item = other_item("car", SIZE, random.Random(0))
    x, y = item.corner
    for dx, dy, apart in ((0, 0, False), (1, 0, True), (0, 1, True), (-1, -1, False)):
        moved = type(item)("car", item.sprite, (x + item.sprite.width + dx, y + dy))
        below = type(item)("car", item.sprite, (x, y + item.sprite.height + dy))
        assert item.is_apart(moved) == moved.is_apart(item) == (dx > 0)
        assert item.is_apart(below) == below.is_apart(item) == (dy > 0)
        assert apart == (dx > 0 or dy > 0)
