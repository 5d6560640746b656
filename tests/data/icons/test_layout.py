"""Icons stand apart, inside of the picture, where their caption says."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from superlink.data.icons import COUNTS, POSITIONS, Arrangement, draw_arrangement
from superlink.data.icons.layout import place_icons

ARRANGEMENTS = [
    Arrangement("star", "green", count, position) for count in COUNTS for position in POSITIONS
]


def _middle(shown, seed=0, size=48):
    """The middle of all that is drawn, as shares of width and height."""
    image = np.asarray(draw_arrangement(shown, size, random.Random(seed)).convert("L"))
    rows, columns = np.nonzero(image < 200)
    return (columns.min() + columns.max() + 1) / 2 / size, (rows.min() + rows.max() + 1) / 2 / size


@pytest.mark.parametrize("shown", ARRANGEMENTS, ids=lambda s: f"{s.count}-{s.position}")
def test_a_group_is_nearest_to_the_position_of_its_name(shown):
    places = {
        "left": (0.2, 0.5),
        "right": (0.8, 0.5),
        "top": (0.5, 0.2),
        "bottom": (0.5, 0.8),
        "middle": (0.5, 0.5),
    }
    for seed in range(20):
        x, y = _middle(shown, seed)
        distances = {n: (x - a) ** 2 + (y - b) ** 2 for n, (a, b) in places.items()}
        assert min(distances, key=distances.__getitem__) == shown.position


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from(ARRANGEMENTS),
    st.integers(32, 200),
    st.tuples(st.floats(0.2, 1), st.floats(0.2, 1)),
    st.integers(0, 10**6),
)
def test_icons_neither_overlap_nor_leave_the_picture(shown, size, shares, seed):
    pitch = {1: size // 2, 2: int(size * 0.46), 3: size // 3}[shown.count]
    width, height = (max(1, int(share * (pitch - 1))) for share in shares)
    corners = place_icons(shown, (width, height), size, pitch, random.Random(seed))
    assert len(corners) == shown.count
    for x, y in corners:
        assert 0 <= x <= size - width and 0 <= y <= size - height
    for (x1, y1), (x2, y2) in itertools.combinations(corners, 2):
        assert abs(x1 - x2) >= width or abs(y1 - y2) >= height


def test_groups_on_the_sides_are_columns_and_others_rows():
    rng = random.Random(0)
    for position, column in (("left", True), ("right", True), ("top", False), ("middle", False)):
        corners = place_icons(Arrangement("key", "red", 3, position), (12, 12), 48, 16, rng)
        xs, ys = np.ptp(corners, axis=0)
        assert (ys > 25 > 8 > xs) if column else (xs > 25 > 8 > ys)


def test_one_icon_is_half_as_large_as_the_picture_and_several_are_smaller():
    sizes = []
    for count in COUNTS:
        shown = Arrangement("heart", "blue", count, "middle")
        image = np.asarray(draw_arrangement(shown, 96, random.Random(0)).convert("L")) < 250
        sizes.append(np.count_nonzero(image.any(axis=1)) / 96)
    assert 0.4 < sizes[0] < 0.6 and sizes[0] > sizes[1] > sizes[2] > 0.2
