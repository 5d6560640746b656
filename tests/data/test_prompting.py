"""Prompts mark what they are drawn of, whatever its shape."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from superlink.data import AnnotatedObject
from superlink.data.masks import mask_box
from superlink.data.prompting import PROMPT_KINDS, draw_prompt, has_pixels, prompt_of
from superlink.errors import ConfigError, InputError

MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=24)).filter(np.any)
SEEDS = st.integers(0, 2**16)


def _disc(size=64, radius=20):
    y, x = np.ogrid[:size, :size]
    return (x - size / 2) ** 2 + (y - size / 2) ** 2 < radius**2


def _on_line(points, steps=9):
    """Points (N, 2) of a line, also between its corners."""
    corners = np.array(points)
    shares = np.linspace(0, 1, steps)[:, None, None]
    return (corners[:-1] * (1 - shares) + corners[1:] * shares).reshape(-1, 2)


@settings(max_examples=40)
@given(mask=MASKS, seed=SEEDS, kind=st.sampled_from(PROMPT_KINDS), varied=st.booleans())
def test_every_prompt_can_be_drawn_on_its_image_and_hits_the_mask(mask, seed, kind, varied):
    region = draw_prompt(mask, random.Random(seed), kind, varied=varied)
    assert region.kind == kind
    covered = region.raster(mask.shape)
    assert covered.any()
    if kind in ("point", "box", "scribble", "mask"):
        assert (covered & mask).any()


@settings(max_examples=40)
@given(mask=MASKS, seed=SEEDS, varied=st.booleans())
def test_points_and_the_lines_of_scribbles_lie_in_the_mask(mask, seed, varied):
    rng = random.Random(seed)
    (point,) = draw_prompt(mask, rng, "point", varied=varied).points
    assert mask[int(point[1]), int(point[0])]
    stroke = draw_prompt(mask, rng, "scribble", varied=varied)
    columns, rows = np.floor(_on_line(stroke.points)).astype(int).T
    # Between two points of the mask a piece of the line may cut a corner of a pixel beside it.
    assert ndimage.binary_dilation(mask, np.ones((3, 3)))[rows, columns].all()
    assert mask[rows, columns].mean() > 0.5
    (first, last) = np.array(stroke.points)[[0, -1]].astype(int)
    assert mask[first[1], first[0]] and mask[last[1], last[0]]


@settings(max_examples=40)
@given(mask=MASKS, seed=SEEDS, kind=st.sampled_from(PROMPT_KINDS))
def test_one_seed_gives_one_prompt(mask, seed, kind):
    one, other = (draw_prompt(mask, random.Random(seed), kind) for _ in range(2))
    assert (one.raster(mask.shape) == other.raster(mask.shape)).all()
    assert one.points == other.points


@settings(max_examples=40)
@given(mask=MASKS, seed=SEEDS)
def test_exact_outlines_surround_the_mask(mask, seed):
    rng = random.Random(seed)
    box = draw_prompt(mask, rng, "box", varied=False)
    assert (*box.points[0], *box.points[1]) == mask_box(mask)
    assert (draw_prompt(mask, rng, "mask").raster(mask.shape) == mask).all()
    small = np.argwhere(mask)[0]
    dot = np.zeros_like(mask)
    dot[tuple(small)] = True
    for kind in ("box", "circle", "polygon", "mask"):
        assert draw_prompt(dot, rng, kind, varied=False).raster(mask.shape)[tuple(small)]


@pytest.mark.parametrize(("kind", "least"), [("box", 0.7), ("polygon", 0.85), ("circle", 0.6)])
def test_varied_outlines_stay_near_the_mask(kind, least):
    mask = _disc()
    overlaps = []
    for seed in range(20):
        covered = draw_prompt(mask, random.Random(seed), kind).raster(mask.shape)
        overlaps.append((covered & mask).sum() / (covered | mask).sum())
    assert min(overlaps) > least - 0.2 and np.mean(overlaps) > least
    assert len(set(overlaps)) > 10


def test_scribbles_run_along_the_mask_without_filling_it():
    mask = _disc()
    shares = []
    for seed in range(20):
        region = draw_prompt(mask, random.Random(seed), "scribble", varied=False)
        covered = region.raster(mask.shape)
        assert (covered & mask).sum() > 0.9 * covered.sum()
        shares.append(covered.sum() / mask.sum())
    assert 0.03 < min(shares) and max(shares) < 0.4


def test_points_have_from_1_to_20_of_336_pixels_in_training_and_the_usual_size_else():
    regions = [draw_prompt(_disc(336, 99), random.Random(s), "point") for s in range(50)]
    radii = [region.radius for region in regions]
    assert 1 <= min(radii) < 3 and 18 < max(radii) <= 20
    assert draw_prompt(_disc(), random.Random(0), "point", varied=False).radius is None


def test_kinds_are_drawn_equally():
    counts = Counter(draw_prompt(_disc(16, 5), random.Random(seed)).kind for seed in range(1200))
    assert set(counts) == set(PROMPT_KINDS) and min(counts.values()) > 150
    named = {draw_prompt(_disc(), random.Random(s), ["point", "box"]).kind for s in range(20)}
    assert named == {"point", "box"}


def test_empty_mask_gives_no_prompt():
    empty = np.zeros((8, 8), np.bool_)
    assert draw_prompt(empty, random.Random(0)) is None
    vanished = AnnotatedObject("cup", (1, 1, 2, 2), empty)
    assert not has_pixels(vanished) and prompt_of(vanished, random.Random(0)) is None


def test_object_without_a_mask_is_marked_by_its_box():
    item = AnnotatedObject("cup", (1.5, 2, 6, 7))
    region = prompt_of(item, random.Random(0))
    assert has_pixels(item) and region.kind == "box"
    assert region.points == ((1, 2), (6, 7))
    with pytest.raises(InputError, match=r"marked by its box alone.*'point'.*add 'box'"):
        prompt_of(item, random.Random(0), "point")


@pytest.mark.parametrize("kinds", ["dot", [], ["point", "arrow"]])
def test_unknown_kinds_are_refused(kinds):
    with pytest.raises(ConfigError, match="point, box, scribble, circle, polygon, mask"):
        draw_prompt(_disc(), random.Random(0), kinds)


def test_a_box_thinner_than_a_pixel_marks_the_pixels_that_it_touches():
    thin = AnnotatedObject("line", (20.6, 10.2, 20.9, 19.5))
    covered = prompt_of(thin, random.Random(0), "box").raster((30, 60))
    assert covered.sum() == 10 and covered[10:20, 20].all()
