"""Icons have the colour that they are called by, and keep their outline."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from superlink.data.icons import COLOURS, HELD_OUT, OBJECTS, draw_icon
from superlink.data.icons.drawing import tint

PAIRS = [(name, colour) for name in OBJECTS for colour in COLOURS]


@pytest.mark.parametrize(("name", "colour"), PAIRS)
def test_most_of_what_is_coloured_is_nearest_to_the_colour_of_the_name(name, colour):
    pixels = np.asarray(draw_icon(name, colour, 24)).reshape(-1, 4)
    pixels = pixels[pixels[:, 3] > 200, :3].astype(float)
    pixels = pixels[np.ptp(pixels, axis=1) > 80]  # neither outline nor gloss
    names = list(COLOURS)
    distances = np.abs(pixels[:, None] - np.array([COLOURS[n] for n in names])).sum(axis=2)
    nearest = Counter(names[i] for i in distances.argmin(axis=1))
    assert len(pixels) >= 30
    assert nearest[colour] > 0.6 * len(pixels)


@pytest.mark.parametrize("side", [12, 23, 128])
def test_the_longer_side_is_as_long_as_asked_and_the_shape_is_that_of_the_drawing(side):
    car = draw_icon("car", "blue", side)
    assert car.mode == "RGBA" and car.width == side
    assert 0.4 * side < car.height < 0.6 * side


def test_tinting_keeps_black_and_transparency_and_makes_more_luminance_lighter():
    levels = [0, 100, 100, 100, 200, 100]
    drawing = Image.new("RGBA", (6, 1))
    drawing.putdata([(v, v, v, 0 if i == 5 else 255) for i, v in enumerate(levels)])
    black, usual, *_, light, gone = np.asarray(tint(drawing, (40, 110, 245)))[0].tolist()
    assert black == [0, 0, 0, 255]
    assert usual == [40, 110, 245, 255]
    assert all(a > b for a, b in zip(light[:3], usual[:3], strict=True))
    assert gone[3] == 0


def test_each_object_lacks_one_colour_and_no_colour_more_than_two_objects():
    assert HELD_OUT.keys() == OBJECTS.keys()
    assert set(HELD_OUT.values()) <= COLOURS.keys()
    assert max(Counter(HELD_OUT.values()).values()) <= 2
