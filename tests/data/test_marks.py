"""Marks change what is around an object, and nothing else."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from superlink.data.marks import MARK_COLORS, MARK_KINDS, Mark, choose_mark, draw_mark
from superlink.errors import ConfigError, InputError

HEIGHT, WIDTH = 120, 200
IMAGE = Image.new("RGB", (WIDTH, HEIGHT), (120, 120, 120))
BOX = (60, 40, 100, 70)


def _mask(box=BOX):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    x1, y1, x2, y2 = box
    mask[y1:y2, x1:x2] = True
    return mask


def _disc():
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return (x - 80) ** 2 + (y - 55) ** 2 < 20**2


def _changed(marked, kind, seed=0, **options):
    before = np.asarray(IMAGE)
    after = draw_mark(IMAGE, marked, kind, rng=random.Random(seed), **options)
    assert after.size == IMAGE.size and (np.asarray(IMAGE) == before).all()
    return (np.asarray(after) != before).any(-1)


def _near(mask, distance):
    grey = Image.fromarray(mask.astype(np.uint8) * 255)
    return np.asarray(grey.filter(ImageFilter.MaxFilter(2 * distance + 1))) > 0


@pytest.mark.parametrize("hollow", [True, False])
@pytest.mark.parametrize("kind", MARK_KINDS)
def test_mark_is_near_the_object_and_nowhere_else(kind, hollow):
    changed = _changed(_disc(), kind, hollow=hollow)
    assert (changed & _near(_disc(), 5 if kind in ("arrow", "mask") else 12)).any()
    assert not (changed & ~_near(_disc(), 75 if kind == "arrow" else 40)).any()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", [kind for kind in MARK_KINDS if kind != "arrow"])
def test_hollow_mark_leaves_the_object_alone_and_a_solid_one_tints_all_of_it(kind, seed):
    for mask in (_disc(), _mask(), _mask((70, 40, 72, 80))):
        assert not (_changed(mask, kind, seed) & mask).any()
        assert _changed(mask, kind, seed, hollow=False)[mask].all()


@pytest.mark.parametrize("kind", ["circle", "hand-drawn circle", "box"])
def test_outline_surrounds_the_object(kind):
    """Every way from the middle of the object to the border crosses the line."""
    changed = _changed(_mask(), kind)
    assert changed[55, :60].any() and changed[55, 100:].any()
    assert changed[:40, 80].any() and changed[70:, 80].any()


@pytest.mark.parametrize("hollow", [True, False])
@pytest.mark.parametrize("seed", range(8))
def test_tip_of_an_arrow_touches_the_object_and_its_shaft_lies_outside(seed, hollow):
    changed = _changed(_disc(), "arrow", seed, hollow=hollow)
    assert (changed & _disc()).any()
    assert (changed & ~_disc()).sum() > 5 * (changed & _disc()).sum()


def test_hollow_arrow_is_an_outline():
    outline, whole = (_changed(_disc(), "arrow", hollow=hollow) for hollow in (True, False))
    assert outline.sum() < whole.sum() and not (outline & ~whole).any()


@settings(max_examples=60)
@given(
    kind=st.sampled_from(MARK_KINDS),
    hollow=st.booleans(),
    x=st.integers(0, WIDTH - 1),
    y=st.integers(0, HEIGHT - 1),
    seed=st.integers(0, 99),
)
def test_single_pixel_anywhere_gets_a_mark_that_is_seen(kind, hollow, x, y, seed):
    pixel = _mask((x, y, x + 1, y + 1))
    changed = _changed(pixel, kind, seed, hollow=hollow)
    assert changed.sum() >= 3
    assert not changed.all() and (changed & _near(pixel, 12)).any()


@pytest.mark.parametrize(
    "box", [(0, 0, WIDTH, HEIGHT), (0, 0, WIDTH, 5), (190, 0, WIDTH, HEIGHT), (0, 0, 30, 30)]
)
@pytest.mark.parametrize("kind", MARK_KINDS)
def test_object_at_the_border_gets_a_mark_that_is_seen(kind, box):
    for hollow in (True, False):
        assert 20 < _changed(_mask(box), kind, hollow=hollow).sum()


@pytest.mark.parametrize("kind", MARK_KINDS)
def test_box_marks_what_its_pixels_mark(kind):
    assert (_changed(BOX, kind) == _changed(_mask(), kind)).all()
    assert (_changed((60.4, 40.2, 99.5, 69.9), kind) == _changed(_mask(), kind)).all()


def test_seed_decides_alone():
    for kind in ("hand-drawn circle", "arrow"):
        assert (_changed(BOX, kind, 1) == _changed(BOX, kind, 1)).all()
        assert (_changed(BOX, kind, 1) != _changed(BOX, kind, 2)).any()
    assert draw_mark(IMAGE, BOX, "arrow").tobytes() == draw_mark(IMAGE, BOX, "arrow").tobytes()


@pytest.mark.parametrize("color", MARK_COLORS)
def test_mark_has_the_colour_that_its_words_name(color):
    mark = Mark("mask", color, hollow=True)
    colors = {count[1] for count in mark.draw(IMAGE, _mask()).getcolors()}
    assert colors == {(120, 120, 120), MARK_COLORS[color]} and mark.words == f"{color} mask"


def test_edges_are_smooth():
    colors = draw_mark(IMAGE, _disc(), "circle").getcolors(1000)
    assert len(colors) > 5


def test_choose_mark_is_seeded_and_keeps_to_its_kinds():
    marks = [choose_mark(random.Random(seed)) for seed in range(60)]
    assert {mark.kind for mark in marks} == {*MARK_KINDS}
    assert {mark.hollow for mark in marks} == {True, False}
    assert marks[3] == choose_mark(random.Random(3))
    assert choose_mark(random.Random(0), ["box"]).kind == "box"


def test_what_cannot_be_drawn_raises():
    with pytest.raises(ConfigError, match=r"Received: kind='star'"):
        draw_mark(IMAGE, BOX, "star")
    with pytest.raises(ConfigError, match=r"color='grue'"):
        Mark("box", "grue")
    for marked in (np.zeros((HEIGHT, WIDTH), bool), np.ones((5, 5), bool), (300, 0, 310, 5)):
        with pytest.raises(InputError, match="A mark is drawn at pixels of its image"):
            draw_mark(IMAGE, marked, "circle")


def test_other_modes_of_images_become_rgb():
    assert draw_mark(IMAGE.convert("L"), BOX, "box").mode == "RGB"
