"""The kinds of edits: what stands in the picture before and afterwards, and how one asks for it."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

from PIL import Image

from ..icons.layout import POSITIONS
from ..scenes.captions import count_phrase
from ..scenes.drawings import drawing_codes
from .items import Item, known_sprite, recolourings, resized, tinted

__all__ = ["EDIT_KINDS", "Edit", "EditKind", "make_edit", "other_item"]

EditKind = Literal["remove", "add", "recolour", "move"]
EDIT_KINDS: tuple[EditKind, ...] = get_args(EditKind)

_SIDES = (0.3, 0.42)  # of the picture, longer side of an object
_MIN_MOVE = 0.25  # of the picture


@dataclass(frozen=True, eq=False)
class Edit:
    """What is done to one object; nothing else in the picture changes."""

    instruction: str
    """`remove the dog`."""
    before: Item | None
    """The object before; None where it is added."""
    after: Item | None
    """The object afterwards; None where it is removed."""
    attributes: Mapping[str, str]
    """`kind` and `object`, and `colour` or `position` where the instruction names one."""

    @property
    def items(self) -> tuple[Item, ...]:
        """The object before and afterwards, as far as it is there."""
        return tuple(item for item in (self.before, self.after) if item is not None)


def make_edit(kind: EditKind, name: str, size: int, rng: random.Random) -> Edit:
    """Draw an edit of an object of class `name`, in a picture of `size` pixels a side."""
    return _KINDS[kind](name, size, rng)


def other_item(name: str, size: int, rng: random.Random) -> Item:
    """An object with a look and a place that are drawn."""
    code = rng.choice(drawing_codes(name, "seen"))
    return Item.anywhere(name, _sprite(code, size, rng), size, rng)


def _sprite(code: str, size: int, rng: random.Random) -> Image.Image:
    """A drawing as large as its object may be, mirrored half of the time."""
    return _mirrored(resized(tinted(code), rng.uniform(*_SIDES) * size), rng.random() < 0.5)


def _mirrored(image: Image.Image, mirrored: bool) -> Image.Image:
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else image


def _remove(name: str, size: int, rng: random.Random) -> Edit:
    attributes = {"kind": "remove", "object": name}
    return Edit(f"remove the {name}", other_item(name, size, rng), None, attributes)


def _add(name: str, size: int, rng: random.Random) -> Edit:
    position = rng.choice(tuple(POSITIONS))
    item = Item.at(name, known_sprite(name, size), position, size)
    attributes = {"kind": "add", "object": name, "position": position}
    return Edit(f"add {count_phrase(name, 1)} {POSITIONS[position]}", None, item, attributes)


def _recolour(name: str, size: int, rng: random.Random) -> Edit:
    code = rng.choice([code for code in drawing_codes(name, "seen") if recolourings(code)])
    colour = rng.choice(recolourings(code))
    side, mirrored = rng.uniform(*_SIDES) * size, rng.random() < 0.5
    before, after = (_mirrored(resized(tinted(code, c), side), mirrored) for c in ("", colour))
    item = Item.anywhere(name, before, size, rng)
    attributes = {"kind": "recolour", "object": name, "colour": colour}
    changed = replace(item, sprite=after, colour=colour)
    return Edit(f"make the {name} {colour}", item, changed, attributes)


def _move(name: str, size: int, rng: random.Random) -> Edit:
    position = rng.choice(tuple(POSITIONS))
    sprite = _sprite(rng.choice(drawing_codes(name, "seen")), size, rng)
    after = Item.at(name, sprite, position, size)
    before = Item.anywhere(name, sprite, size, rng)
    while _distance(before, after) < _MIN_MOVE * size:
        before = Item.anywhere(name, sprite, size, rng)
    attributes = {"kind": "move", "object": name, "position": position}
    return Edit(f"move the {name} to the {position}", before, after, attributes)


def _distance(one: Item, other: Item) -> float:
    return max(abs(a - b) for a, b in zip(one.middle, other.middle, strict=True))


_KINDS: Mapping[EditKind, Callable[[str, int, random.Random], Edit]] = {
    "remove": _remove,
    "add": _add,
    "recolour": _recolour,
    "move": _move,
}
