"""The objects of a scene, one by one: drawings, and figures that are drawn joint by joint."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
from PIL import Image

from .drawings import DrawingSet, drawing_codes, render_drawing
from .figure import draw_figure
from .quadruped import draw_quadruped

__all__ = ["ARTICULATED", "draw_sprite"]

Points = npt.NDArray[np.float32]

_MAX_TURN = 20.0  # degrees


def _person(rng: random.Random, side: int) -> tuple[Image.Image, Points]:
    """A figure that hides none of its own joints."""
    image, points = draw_figure(rng, side)
    return image, np.column_stack([points, np.full(len(points), 2, np.float32)])


ARTICULATED: Mapping[str, Callable[[random.Random, int], tuple[Image.Image, Points]]] = {
    "person": _person,
    "horse": draw_quadruped,
}
"""For each class with keypoints what draws it on a canvas of some side: an RGBA image, and (K, 3)
x, y, and 2 where the point is seen, 1 where the object itself hides it."""


def draw_sprite(
    name: str, drawings: DrawingSet, side: float, canvas_side: int, rng: random.Random
) -> tuple[Image.Image, Points | None]:
    """Draw an object.

    Args:
        name: Its class.
        drawings: Which drawings of the class.
        side: Its longer side before it is turned, in pixels.
        canvas_side: The object is drawn on a canvas of so many pixels a side, then shrunk: larger
            than `side` makes smooth edges, and few different ones a small cache.
        rng: Decides on the rest.

    Returns:
        An RGBA image, and the keypoints as in `ARTICULATED`, where the class has any.
    """
    if name in ARTICULATED:
        image, keypoints = ARTICULATED[name](rng, canvas_side)
        factor = side / max(image.size)
        return _resized(image, factor), keypoints * np.array([factor, factor, 1], np.float32)
    image = render_drawing(rng.choice(drawing_codes(name, drawings)), canvas_side)
    image = _resized(image, side / max(image.size))
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    turn = rng.uniform(-_MAX_TURN, _MAX_TURN)
    return image.rotate(turn, Image.Resampling.BILINEAR, expand=True), None


def _resized(image: Image.Image, factor: float) -> Image.Image:
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Image.Resampling.BILINEAR)
