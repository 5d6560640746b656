"""Visual prompts drawn of masks: what a user would click, frame or paint to mark an object."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError, InputError
from ..interfaces import Region
from ..interfaces.regions import RegionKind
from .masks import mask_box
from .schema import AnnotatedObject, Mask

__all__ = ["PROMPT_KINDS", "box_of", "check_kinds", "draw_prompt", "has_pixels", "prompt_of"]

PROMPT_KINDS: tuple[RegionKind, ...] = get_args(RegionKind)
"""All that can be drawn of a mask."""
Kinds = Sequence[str] | str
Points = npt.NDArray[np.floating]
_RADII = (1 / 336, 20 / 336)  # 1 to 20 pixels of the 336 that the paper's LLM sees
_BOX_JITTER = 0.1  # of a side of the box
_POLYGON_JITTER = 0.04
_CIRCLE_SCALES = (0.8, 1.2)
_NUM_VERTICES = (6, 12)
_NUM_STROKES = 6
_NUM_SEGMENTS = 16


def check_kinds(kinds: Kinds) -> tuple[str, ...]:
    """The kinds of a setting, which may be one alone.

    Raises:
        ConfigError: There is none, or one of them is unknown.
    """
    listed = (kinds,) if isinstance(kinds, str) else tuple(kinds)
    if not listed or any(kind not in PROMPT_KINDS for kind in listed):
        raise ConfigError(
            f"Visual prompts are some of {', '.join(PROMPT_KINDS)}. Received: prompts={kinds!r}"
        )
    return listed


def has_pixels(item: AnnotatedObject) -> bool:
    """Whether an object can be marked: it has a box alone, or a mask that is not empty."""
    return item.mask is None or bool(item.mask.any())


def prompt_of(
    item: AnnotatedObject,
    rng: random.Random,
    kinds: Kinds = PROMPT_KINDS,
    *,
    varied: bool = True,
) -> Region | None:
    """A prompt that marks an object: see `draw_prompt`; of an object without a mask, its box in
    whole pixels.

    Raises:
        ConfigError: `kinds` are none.
        InputError: The object has no mask, and `box` is not among the kinds.
    """
    if item.mask is not None:
        return draw_prompt(item.mask, rng, kinds, varied=varied)
    if "box" not in check_kinds(kinds):
        raise InputError(
            "An object without a mask can be marked by its box alone. Received: "
            f"prompts={kinds!r} for {item.name!r}. Ask the reader for masks, or add 'box'."
        )
    return box_of(item)


def box_of(item: AnnotatedObject) -> Region:
    """All pixels that the box of an object touches: it may be thinner than one."""
    x1, y1, x2, y2 = item.bbox
    return Region.box(math.floor(x1), math.floor(y1), math.ceil(x2), math.ceil(y2))


def draw_prompt(
    mask: Mask,
    rng: random.Random,
    kinds: Kinds = PROMPT_KINDS,
    *,
    varied: bool = True,
) -> Region | None:
    """A prompt that marks the true pixels of a mask.

    A point and the line of a scribble lie inside of the mask. Boxes, circles and polygons surround
    it; `varied`, they do so about as well as a hand does.

    Args:
        mask: (H, W) of the image.
        rng: Where all random draws come from.
        kinds: What may be drawn, all as often.
        varied: Whether sizes and outlines vary, as in training; else they are the usual sizes of
            `Region` and exact outlines, and chance has only the place of points and scribbles.

    Returns:
        The prompt; None of a mask that is empty.

    Raises:
        ConfigError: `kinds` are none.
    """
    kind = rng.choice(check_kinds(kinds))
    return _DRAWINGS[kind](mask, rng, varied) if mask.any() else None


def _point(mask: Mask, rng: random.Random, varied: bool) -> Region:
    (middle,) = _middles(mask, rng, 1)
    return Region.point(_pair(middle), radius=_radius(mask, rng) if varied else None)


def _box(mask: Mask, rng: random.Random, varied: bool) -> Region:
    x1, y1, x2, y2 = mask_box(mask)
    if varied:
        near = (_BOX_JITTER * (x2 - x1), _BOX_JITTER * (y2 - y1)) * 2
        x1, y1, x2, y2 = (
            value + rng.uniform(-most, most)
            for value, most in zip((x1, y1, x2, y2), near, strict=True)
        )
    height, width = mask.shape
    return Region.box(max(x1, 0), max(y1, 0), min(x2, width), min(y2, height))


def _scribble(mask: Mask, rng: random.Random, varied: bool) -> Region:
    """The longest of some smooth strokes, each cut to where it runs inside of the mask."""
    middles = _middles(mask, rng, 4 * _NUM_STROKES)
    strokes = [_inner_run(mask, _curve(controls)) for controls in np.split(middles, _NUM_STROKES)]
    stroke = max([middles[[0, 0]], *strokes], key=_length)
    radius = _radius(mask, rng) / 2 if varied else None
    return Region.scribble([_pair(point) for point in stroke], radius)


def _circle(mask: Mask, rng: random.Random, varied: bool) -> Region:
    x1, y1, x2, y2 = mask_box(mask)
    scale = rng.uniform(*_CIRCLE_SCALES) if varied else 1.0
    return Region.circle(((x1 + x2) / 2, (y1 + y2) / 2), scale * max(x2 - x1, y2 - y1) / 2)


def _polygon(mask: Mask, rng: random.Random, varied: bool) -> Region:
    """The convex hull with few corners, which wander a little where it is varied."""
    hull = _hull(mask)
    count = min(len(hull), rng.randint(*_NUM_VERTICES) if varied else _NUM_VERTICES[1])
    corners = hull[np.linspace(0, len(hull), count, endpoint=False).astype(int)]  # (count, 2)
    if varied:
        x1, y1, x2, y2 = mask_box(mask)
        near = _POLYGON_JITTER * np.array([x2 - x1, y2 - y1])
        moves = [[rng.uniform(-most, most) for most in near] for _ in corners]
        corners = (corners + np.array(moves)).clip(0, mask.shape[::-1])
    few = Region.polygon([_pair(corner) for corner in corners])
    try:
        few.raster(mask.shape)
    except InputError:  # so small that it slips between the middles of the pixels
        return Region.polygon([_pair(corner) for corner in hull])
    return few


_DRAWINGS: Mapping[str, Callable[[Mask, random.Random, bool], Region]] = {
    "point": _point,
    "box": _box,
    "scribble": _scribble,
    "circle": _circle,
    "polygon": _polygon,
    "mask": lambda mask, rng, varied: Region.from_mask(mask),
}


def _pair(point: Any) -> tuple[float, float]:
    return float(point[0]), float(point[1])


def _radius(mask: Mask, rng: random.Random) -> float:
    return rng.uniform(*_RADII) * float(max(mask.shape))


def _middles(mask: Mask, rng: random.Random, count: int) -> Points:
    """The middles (count, 2) of pixels of a mask, x before y; one may come twice."""
    pixels = np.flatnonzero(mask)
    drawn = pixels[[rng.randrange(len(pixels)) for _ in range(count)]]
    return np.stack([drawn % mask.shape[1], drawn // mask.shape[1]], axis=1) + 0.5


def _curve(controls: Points) -> Points:
    """The Bezier curve of four points, as a line of short pieces, (pieces + 1, 2)."""
    t = np.linspace(0, 1, _NUM_SEGMENTS + 1)[:, None]
    weights = [math.comb(3, i) * t**i * (1 - t) ** (3 - i) for i in range(4)]
    return np.asarray(sum(w * point for w, point in zip(weights, controls, strict=True)))


def _inner_run(mask: Mask, line: Points) -> Points:
    """The longest run of pieces of a line, (points, 2), that lie in the mask; none is (0, 2)."""
    steps = np.linspace(0, 1, 2 + 2 * int(np.abs(np.diff(line, axis=0)).max()))[:, None]
    between = line[:-1, None] * (1 - steps) + line[1:, None] * steps  # (pieces, steps, 2)
    columns, rows = np.floor(between).astype(int).transpose(2, 0, 1)
    inside = mask[rows, columns].all(axis=1)  # (pieces,)
    ends = np.flatnonzero(np.diff(np.concatenate([[0], inside, [0]]).astype(int)))
    runs = ends.reshape(-1, 2)  # first piece, and the one behind the last
    if not len(runs):
        return line[:0]
    first, last = max(runs, key=lambda run: _length(line[run[0] : run[1] + 1]))
    return line[first : last + 1]


def _length(line: Points) -> float:
    """Of a line in pixels; -1 where it is none."""
    pieces = np.linalg.norm(np.diff(line, axis=0), axis=1)
    return float(np.sum(pieces)) if len(pieces) else -1.0


def _hull(mask: Mask) -> Points:
    """The corners (N, 2) of the convex hull of all pixels, by Andrew's monotone chain."""
    rows = np.flatnonzero(mask.any(axis=1))
    left, right = mask[rows].argmax(axis=1), mask.shape[1] - mask[rows, ::-1].argmax(axis=1)
    corners = {
        (x, y + d) for y, *xs in zip(rows, left, right, strict=True) for x in xs for d in (0, 1)
    }
    points = sorted((int(x), int(y)) for x, y in corners)
    return np.array([*_chain(points), *_chain(points[::-1])], np.float64)


def _chain(points: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """One side of a hull, without its last corner, which begins the other side."""
    chain: list[tuple[int, int]] = []
    for x, y in points:
        while len(chain) > 1:
            (ax, ay), (bx, by) = chain[-2:]
            if (bx - ax) * (y - ay) > (by - ay) * (x - ax):
                break
            chain.pop()
        chain.append((x, y))
    return chain[:-1]
