"""The objects that edits add, remove, move and recolour: drawings of the built-in scenes."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

from ..icons.drawing import COLOURS, tint
from ..icons.layout import POSITIONS
from ..scenes.captions import count_phrase
from ..scenes.drawings import drawing_codes, render_drawing

__all__ = ["PLACES", "Item", "known_sprite", "recolourings", "resized", "tinted"]

PLACES: Mapping[str, tuple[float, float]] = {
    "left": (0.22, 0.5),
    "right": (0.78, 0.5),
    "top": (0.5, 0.22),
    "bottom": (0.5, 0.78),
    "middle": (0.5, 0.5),
}
"""The middle of an object at each position, as shares of width and height."""

_KNOWN_SIDE = 0.36  # of the picture, longer side of an object that is added
_CANVAS_SIDE = 144
_VISIBLE = 150  # change of red, green and blue together from which on it is seen
_SEEN_SHARE = 0.3  # of a drawing's pixels that must change visibly in another colour


@dataclass(frozen=True, eq=False)
class Item:
    """One object, where it stands."""

    name: str
    """Its class."""
    sprite: Image.Image
    """What it looks like, in RGBA; all of it inside of the picture."""
    corner: tuple[int, int]
    """Its upper left pixel."""
    colour: str = ""
    """The colour that it was given; empty: that of its drawing."""
    position: str = ""
    """The position that it was brought to; empty: anywhere."""

    @classmethod
    def at(cls, name: str, sprite: Image.Image, position: str, size: int) -> Item:
        """An object at the exact place of a position."""
        x, y = PLACES[position]
        corner = (round(x * size - sprite.width / 2), round(y * size - sprite.height / 2))
        return cls(name, sprite, corner, position=position)

    @classmethod
    def anywhere(cls, name: str, sprite: Image.Image, size: int, rng: random.Random) -> Item:
        """An object at a place that is drawn."""
        corner = (rng.randint(0, size - sprite.width), rng.randint(0, size - sprite.height))
        return cls(name, sprite, corner)

    @property
    def middle(self) -> tuple[float, float]:
        """The middle of its box."""
        (x, y), (width, height) = self.corner, self.sprite.size
        return x + width / 2, y + height / 2

    @property
    def words(self) -> str:
        """How a caption names it: `a dog`, `a blue car`, `an apple on the left`."""
        place = f" {POSITIONS[self.position]}" if self.position else ""
        return count_phrase(self.name, 1, self.colour) + place

    def is_apart(self, other: Item) -> bool:
        """Whether there is a pixel between its box and that of another one."""
        (ax, ay), (bx, by) = self.corner, other.corner
        return (
            ax + self.sprite.width < bx
            or bx + other.sprite.width < ax
            or ay + self.sprite.height < by
            or by + other.sprite.height < ay
        )


def known_sprite(name: str, size: int) -> Image.Image:
    """What an object that is added looks like: always the same, so that it can be learnt."""
    code = drawing_codes(name, "seen")[0]
    return resized(render_drawing(code, _CANVAS_SIDE), _KNOWN_SIDE * size)


def resized(image: Image.Image, side: float) -> Image.Image:
    """A drawing whose longer side is `side` pixels."""
    factor = side / max(image.size)
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Image.Resampling.BOX)


@lru_cache(maxsize=512)
def tinted(code: str, colour: str = "") -> Image.Image:
    """A drawing in one colour, or in its own; shared: copy before changing it."""
    drawing = render_drawing(code, _CANVAS_SIDE)
    return tint(drawing, COLOURS[colour]) if colour else drawing


@lru_cache(maxsize=128)
def recolourings(code: str) -> tuple[str, ...]:
    """The colours that a drawing looks different in: none for a black cat."""
    drawn = np.asarray(tinted(code), np.int16)
    opaque = drawn[..., 3] > 127

    def seen(colour: str) -> float:
        change = np.abs(np.asarray(tinted(code, colour), np.int16) - drawn)[..., :3].sum(axis=2)
        return float((change[opaque] > _VISIBLE).mean())

    return tuple(colour for colour in COLOURS if seen(colour) >= _SEEN_SHARE)
