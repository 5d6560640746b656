"""Strokes and discs that paper figures are made of, and how a finished one is cut out."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

__all__ = [
    "OUTLINE",
    "Color",
    "Point",
    "cut_out",
    "disc",
    "limb",
    "random_color",
    "stroke",
    "turned",
]

Point = tuple[float, float]
Color = tuple[int, int, int]

OUTLINE: Color = (35, 31, 32)
"""The colour of rims and eyes."""


def stroke(draw: ImageDraw.ImageDraw, chain: Sequence[Point], width: float, color: Color) -> None:
    """A line with round joints and ends."""
    draw.line(chain, fill=color, width=max(1, round(width)))
    for point in chain:
        disc(draw, point, width / 2, color)


def disc(draw: ImageDraw.ImageDraw, center: Point, radius: float, color: Color) -> None:
    """A filled circle."""
    x, y = center
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)


def random_color(rng: random.Random, darkest: int) -> Color:
    """A colour none of whose parts is below `darkest`."""
    red, green, blue = (rng.randrange(darkest, 245) for _ in range(3))
    return red, green, blue


def limb(
    start: Point, side: int, rng: random.Random, first: Point, bend: Point, length: float
) -> tuple[Point, Point, Point]:
    """A limb of two segments at random angles.

    Args:
        start: Where it hangs.
        side: 1 where it points to the image's right, else -1.
        rng: Decides on the angles.
        first: Bounds of the first segment's angle, in radians outwards from straight down.
        bend: Bounds of what the second one's angle adds to it.
        length: Of each segment.

    Returns:
        Start, joint and end.
    """
    angle = rng.uniform(*first)
    joint = _step(start, side, angle, length)
    return start, joint, _step(joint, side, angle + rng.uniform(*bend), length)


def _step(start: Point, side: int, angle: float, length: float) -> Point:
    return start[0] + side * length * math.sin(angle), start[1] + length * math.cos(angle)


def turned(points: Sequence[Point], center: Point, angle: float) -> list[Point]:
    """Points turned clockwise by `angle` radians about `center`."""
    (cx, cy), cos, sin = center, math.cos(angle), math.sin(angle)
    return [
        (cx + (x - cx) * cos - (y - cy) * sin, cy + (x - cx) * sin + (y - cy) * cos)
        for x, y in points
    ]


def cut_out(
    image: Image.Image, points: Sequence[Point]
) -> tuple[Image.Image, npt.NDArray[np.float32]]:
    """Cut off the empty margins of a square RGBA image.

    Returns:
        The image, and `points`, in shares of the square's side, as (K, 2) in pixels of it.
    """
    left, top, right, bottom = image.getchannel("A").getbbox() or (0, 0, *image.size)
    offsets = np.array([left, top], np.float32)
    return (
        image.crop((left, top, right, bottom)),
        np.array(points, np.float32) * image.width - offsets,
    )
