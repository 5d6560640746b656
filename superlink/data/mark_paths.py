"""The lines of visual marks: circles and boxes around something, arrows that end on it."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from .masks import mask_box
from .schema import Box, Mask

__all__ = ["PATHS", "Path"]

_CORNERS = 72
"""Of the polygon that stands for a circle."""

Path = list[tuple[float, float]]
"""Points (x, y) in pixels that a line runs through; it surrounds what a solid mark fills."""


def _frame(mask: Mask, width: float, grow: float) -> Box:
    """The box of a mask, `grow` times larger and a line away, cut where its line would leave."""
    x1, y1, x2, y2 = mask_box(mask)
    height_all, width_all = mask.shape
    least = 4 * width  # what is marked may be a single pixel
    dx = (x2 - x1) * (grow - 1) / 2 + 1.5 * width + 1
    dy = (y2 - y1) * (grow - 1) / 2 + 1.5 * width + 1
    dx, dy = max(dx, least - (x2 - x1) / 2), max(dy, least - (y2 - y1) / 2)
    inset = width / 2
    return (
        max(inset, x1 - dx),
        max(inset, y1 - dy),
        min(width_all - inset, x2 + dx),
        min(height_all - inset, y2 + dy),
    )


def _box_path(mask: Mask, width: float, rng: random.Random) -> Path:
    x1, y1, x2, y2 = _frame(mask, width, 1.0)
    return [(x1, y1), (x2, y1), (x2, y2), (x1, y2), (x1, y1), (x2, y1)]


def _circle_path(mask: Mask, width: float, rng: random.Random) -> Path:
    angles = np.linspace(0, 2 * math.pi, _CORNERS + 1)
    return _around(_frame(mask, width, math.sqrt(2)), angles, np.ones_like(angles))


def _hand_path(mask: Mask, width: float, rng: random.Random) -> Path:
    """A loop that wobbles, and whose end runs past its beginning without meeting it."""
    start = rng.uniform(0, 2 * math.pi)
    turned = np.linspace(0, 2 * math.pi + rng.uniform(0.15, 0.5), _CORNERS + 8)
    radius = 1 + rng.uniform(0.02, 0.08) * (turned / (2 * math.pi) - 0.5)
    for waves in (2, 3, 5):
        radius += rng.uniform(0.01, 0.03) * np.sin(waves * turned + rng.uniform(0, 6.3))
    direction = rng.choice((-1, 1))
    return _around(_frame(mask, width, 1.65), start + direction * turned, radius / radius.max())


def _around(frame: Box, angles: npt.NDArray[np.float64], radius: npt.NDArray[np.float64]) -> Path:
    """Points at `angles` of the ellipse in a frame, `radius` times as far from its middle."""
    x1, y1, x2, y2 = frame
    x = (x1 + x2) / 2 + (x2 - x1) / 2 * radius * np.cos(angles)
    y = (y1 + y2) / 2 + (y2 - y1) / 2 * radius * np.sin(angles)
    return [*zip(x.tolist(), y.tolist(), strict=True)]


def _arrow_path(mask: Mask, width: float, rng: random.Random) -> Path:
    """An arrow whose tip lies on the mask; it points to the middle of it."""
    length = max(mask.shape) * rng.uniform(0.15, 0.3)
    first = rng.uniform(0, 2 * math.pi)
    angles = [first + turn * math.pi / 8 for turn in range(16)]
    middle = _middle(mask)
    rims = [(angle, _rim(mask, middle, angle)) for angle in angles]
    outer = [(_depth(mask, tip, angle, length), angle, tip) for angle, tip in rims]
    enough = 0.15 * length  # half of its head
    depth, angle, tip = next((option for option in outer if option[0] >= enough), max(outer))
    if depth < 0:  # there is no room outside of the object: the arrow comes from its inside
        inner = [(_depth(mask, middle, angle, length), angle, middle) for angle in angles]
        depth, angle, tip = max(inner)
    return _arrow(tip, angle, length, width)


def _depth(mask: Mask, tip: tuple[float, float], angle: float, length: float) -> float:
    """How far inside of the image an arrow ends that is so long; negative outside of it."""
    x, y = tip[0] + length * math.cos(angle), tip[1] + length * math.sin(angle)
    return float(min(x, y, mask.shape[1] - x, mask.shape[0] - y))


def _middle(mask: Mask) -> tuple[float, float]:
    """The middle of the pixel of a mask that is nearest to its centre of mass."""
    rows, columns = np.nonzero(mask)
    away = (rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2
    nearest = int(away.argmin())
    return float(columns[nearest]) + 0.5, float(rows[nearest]) + 0.5


def _rim(mask: Mask, middle: tuple[float, float], angle: float) -> tuple[float, float]:
    """The last point of a mask on the way from its middle in a direction."""
    steps = np.arange(math.hypot(*mask.shape))
    x, y = middle[0] + steps * math.cos(angle), middle[1] + steps * math.sin(angle)
    inside = (x >= 0) & (y >= 0) & (x < mask.shape[1]) & (y < mask.shape[0])
    x, y = x[inside], y[inside]
    last = int(np.flatnonzero(mask[y.astype(int), x.astype(int)])[-1])
    return float(x[last]), float(y[last])


def _arrow(tip: tuple[float, float], angle: float, length: float, width: float) -> Path:
    """The outline of an arrow, closed; `angle` is where it comes from."""
    shaft = max(width, length * 0.08)
    head = max(2.5 * shaft, length * 0.3)
    outline = [
        *((0.0, 0.0), (head, head * 0.7), (head, shaft), (length, shaft)),
        *((length, -shaft), (head, -shaft), (head, -head * 0.7), (0.0, 0.0)),
        (head, head * 0.7),
    ]
    cos, sin = math.cos(angle), math.sin(angle)
    return [(tip[0] + a * cos - b * sin, tip[1] + a * sin + b * cos) for a, b in outline]


PATHS: Mapping[str, Callable[[Mask, float, random.Random], Path]] = {
    "circle": _circle_path,
    "hand-drawn circle": _hand_path,
    "arrow": _arrow_path,
    "box": _box_path,
}
"""Kind of a mark to its line, made of a mask with some true pixels, the width of the line, and a
source of draws."""
