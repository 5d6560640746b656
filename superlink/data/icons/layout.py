"""Where the icons of a picture stand: in a row or a column, apart, at one of five positions."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass

from PIL import Image

from .drawing import draw_icon

__all__ = ["COUNTS", "POSITIONS", "Arrangement", "draw_arrangement", "place_icons"]

POSITIONS: Mapping[str, str] = {
    "left": "on the left",
    "right": "on the right",
    "top": "at the top",
    "bottom": "at the bottom",
    "middle": "in the middle",
}
"""Where icons stand, and how captions say it."""

COUNTS = (1, 2, 3)
"""How many icons a picture shows."""

# Shares of the picture's side:
_SIDES = {1: 0.5, 2: 0.4, 3: 0.3}  # longer side of an icon, by their number
_PITCHES = {1: 1.0, 2: 0.46, 3: 1 / 3}  # from the middle of one to that of the next
_EDGE = 0.26  # from the edge to the middle of a group that stands there
_CENTRES = {
    "left": (_EDGE, 0.5),
    "right": (1 - _EDGE, 0.5),
    "top": (0.5, _EDGE),
    "bottom": (0.5, 1 - _EDGE),
    "middle": (0.5, 0.5),
}
_JITTER = 0.04
_SIZE_JITTER = 0.08  # of the side of an icon


@dataclass(frozen=True)
class Arrangement:
    """What a picture of icons shows."""

    object: str
    """One of `OBJECTS`."""
    colour: str
    """One of `COLOURS`."""
    count: int
    """One of `COUNTS`."""
    position: str
    """One of `POSITIONS`."""


def draw_arrangement(shown: Arrangement, size: int, rng: random.Random) -> Image.Image:
    """Draw icons on white; no two overlap, and none leaves the picture.

    Args:
        shown: What is drawn.
        size: Height and width in pixels.
        rng: Decides on how large the icons are, and on how far each stands from its place.

    Returns:
        An RGB image.
    """
    side = size * _SIDES[shown.count] * (1 + rng.uniform(-_SIZE_JITTER, _SIZE_JITTER))
    pitch = int(size * _PITCHES[shown.count])
    icon = draw_icon(shown.object, shown.colour, min(round(side), pitch - 1))
    canvas = Image.new("RGB", (size, size), "white")
    for corner in place_icons(shown, icon.size, size, pitch, rng):
        canvas.paste(icon, corner, icon)
    return canvas


def place_icons(
    shown: Arrangement, extents: tuple[int, int], size: int, pitch: int, rng: random.Random
) -> list[tuple[int, int]]:
    """The upper left pixel of each icon; a column stands on the left or right, else a row.

    Args:
        shown: What is drawn.
        extents: Width and height of an icon, less than `pitch` where there are several.
        size: Height and width of the picture.
        pitch: From the middle of one icon to that of the next, in pixels.
        rng: Decides on how far each stands from its place.
    """
    axis = 1 if shown.position in ("left", "right") else 0
    corners = []
    for number in range(shown.count):
        corner = [0, 0]
        for i, (share, extent) in enumerate(zip(_CENTRES[shown.position], extents, strict=True)):
            middle, cell = share * size, float(2 * size)
            if i == axis and shown.count > 1:
                middle, cell = middle + (number - (shown.count - 1) / 2) * pitch, pitch
            low, high = max(0.0, middle - cell / 2), min(size, middle + cell / 2)
            start = round(middle + rng.uniform(-_JITTER, _JITTER) * size - extent / 2)
            corner[i] = max(math.ceil(low), min(start, math.floor(high) - extent))
        corners.append((corner[0], corner[1]))
    return corners
