"""Visual marks: circles, arrows, boxes and tints drawn into an image to point at something."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from ..errors import ConfigError, InputError
from .mark_paths import PATHS, Path
from .schema import Box, Mask

__all__ = ["MARK_COLORS", "MARK_KINDS", "Mark", "MarkKind", "choose_mark", "draw_mark"]

MarkKind = Literal["circle", "hand-drawn circle", "arrow", "box", "mask"]
MARK_KINDS: tuple[MarkKind, ...] = get_args(MarkKind)
"""What can be drawn, by the words that a text uses for it."""
MARK_COLORS: Mapping[str, tuple[int, int, int]] = {
    "red": (230, 25, 35),
    "green": (20, 165, 50),
    "blue": (25, 85, 250),
    "yellow": (255, 220, 0),
    "orange": (255, 130, 0),
    "purple": (140, 30, 190),
    "pink": (255, 110, 190),
    "cyan": (0, 205, 225),
    "white": (255, 255, 255),
    "black": (0, 0, 0),
}
"""The colours of marks by their names."""

_STRENGTH = 0.5
"""Of the tint of a solid mark: what is marked shall still be seen."""
_FINE = 4
"""Marks are drawn so many times larger than they are, and shrunk: their edges are smooth."""


@dataclass(frozen=True)
class Mark:
    """What a mark looks like."""

    kind: MarkKind
    """What is drawn."""
    color: str
    """One of `MARK_COLORS`."""
    hollow: bool = True
    """An outline, that leaves alone what it surrounds; otherwise it is filled: an arrow wholly, all
    others by a tint."""

    def __post_init__(self) -> None:
        if self.kind not in MARK_KINDS or self.color not in MARK_COLORS:
            raise ConfigError(
                f"A mark is one of {MARK_KINDS}, in one of the colours {(*MARK_COLORS,)}. "
                f"Received: kind={self.kind!r}, color={self.color!r}"
            )

    @property
    def words(self) -> str:
        """What a text calls it, without an article: `red circle`."""
        return f"{self.color} {self.kind}"

    def draw(
        self, image: Image.Image, marked: Mask | Box, rng: random.Random | None = None
    ) -> Image.Image:
        """The image with this mark; see `draw_mark`."""
        return draw_mark(image, marked, self.kind, hollow=self.hollow, color=self.color, rng=rng)


def choose_mark(rng: random.Random, kinds: Sequence[MarkKind] = MARK_KINDS) -> Mark:
    """Any of the kinds, in any colour, solid or hollow."""
    return Mark(rng.choice(kinds), rng.choice([*MARK_COLORS]), hollow=rng.random() < 0.5)


def draw_mark(
    image: Image.Image,
    marked: Mask | Box,
    kind: MarkKind,
    *,
    hollow: bool = True,
    color: str = "red",
    rng: random.Random | None = None,
) -> Image.Image:
    """A copy of an image in which something is marked.

    Circles and boxes go around it, as far as the image reaches; a mask covers it, or goes along its
    rim; an arrow ends on it, and comes from a side where there is room.

    Args:
        image: The image.
        marked: What is marked: a mask (H, W), or a box (x1, y1, x2, y2) in pixels.
        kind: What is drawn.
        hollow: See `Mark.hollow`.
        color: One of `MARK_COLORS`.
        rng: Where the line of a hand and the direction of an arrow come from; None: always the
            same ones.

    Raises:
        ConfigError: There is no such kind or colour.
        InputError: The mask is empty or of another size; the box covers no pixel.
    """
    mark = Mark(kind, color, hollow)
    mask = _mask_of(marked, image)
    canvas = image.convert("RGB")
    canvas = canvas.copy() if canvas is image else canvas
    width = max(2.0, max(image.size) / 160)
    if kind == "mask":
        _paint_mask(canvas, mask, mark, width)
    else:
        path = PATHS[kind](mask, width, rng or random.Random(0))
        _paint_path(canvas, path, mark, width)
    return canvas


def _mask_of(marked: Mask | Box, image: Image.Image) -> Mask:
    """What is marked as a mask (H, W) with at least one true pixel."""
    size = (image.height, image.width)
    if isinstance(marked, np.ndarray):
        mask = marked
    else:
        x1, y1, x2, y2 = marked
        mask = np.zeros(size, bool)
        mask[_pixels(y1, y2, size[0]), _pixels(x1, x2, size[1])] = True
    if mask.shape != size or mask.dtype != np.bool_ or not mask.any():
        what = f"{mask.dtype} {mask.shape}" if isinstance(marked, np.ndarray) else marked
        raise InputError(
            f"A mark is drawn at pixels of its image: a bool mask {size} with some, or a box that "
            f"covers some. Received: {what} with {int(mask.sum())} pixels"
        )
    return mask


def _pixels(first: float, last: float, side: int) -> slice:
    """The pixels that a box touches along one side."""
    return slice(max(0, math.floor(first)), max(0, min(side, math.ceil(last))))


def _paint_path(image: Image.Image, path: Path, mark: Mark, width: float) -> None:
    """Draw a line, and fill what it surrounds where the mark is solid."""
    x1 = max(0, math.floor(min(x for x, _ in path) - width))
    y1 = max(0, math.floor(min(y for _, y in path) - width))
    x2 = min(image.width, math.ceil(max(x for x, _ in path) + width))
    y2 = min(image.height, math.ceil(max(y for _, y in path) + width))
    cover = Image.new("L", (_FINE * (x2 - x1), _FINE * (y2 - y1)))
    points = [(_FINE * (x - x1), _FINE * (y - y1)) for x, y in path]
    draw = ImageDraw.Draw(cover)
    if not mark.hollow:
        draw.polygon(points, fill=255 if mark.kind == "arrow" else round(255 * _STRENGTH))
    draw.line(points, fill=255, width=round(_FINE * width), joint="curve")
    image.paste(MARK_COLORS[mark.color], (x1, y1, x2, y2), cover.reduce(_FINE))


def _paint_mask(image: Image.Image, mask: Mask, mark: Mark, width: float) -> None:
    """Draw a line along the outside of a mask, and tint it where the mark is solid."""
    margin = math.ceil(width) + 1
    area = ImageOps.expand(Image.fromarray(mask.astype(np.uint8) * 255), margin)
    grown = np.asarray(area.filter(ImageFilter.MaxFilter(2 * round(width) + 1)))
    inner = (slice(margin, -margin), slice(margin, -margin))
    rim = (grown[inner] > 0) & ~mask
    if not rim.any():  # it fills the image
        shrunk = np.asarray(area.filter(ImageFilter.MinFilter(2 * round(width) + 1)))
        rim = mask & (shrunk[inner] == 0)
    cover = rim * 255 + (0 if mark.hollow else (mask & ~rim) * round(255 * _STRENGTH))
    image.paste(MARK_COLORS[mark.color], (0, 0), Image.fromarray(cover.astype(np.uint8)))
