"""Pictures of icons with captions that say what they show, drawn when they are asked for."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, Literal, get_args

from ...errors import ConfigError
from ..problems import Problems
from ..records import Records
from ..scenes.captions import count_phrase, plural
from ..scenes.readings import check_share
from ..schema import CaptionedImage
from .drawing import COLOURS, HELD_OUT, OBJECTS
from .layout import COUNTS, POSITIONS, Arrangement, draw_arrangement

__all__ = ["IconDataset", "IconSplit", "caption_of", "icon_pairs", "read_icons"]

IconSplit = Literal["train", "val", "seen"]
"""`val` has the pairs of object and colour that `train` never shows, `seen` other pictures of those
that it does."""

_MIN_SIZE = 32


def icon_pairs(split: IconSplit) -> tuple[tuple[str, str], ...]:
    """The objects and colours that go together in a split."""
    return tuple(
        (name, colour)
        for name in OBJECTS
        for colour in COLOURS
        if (HELD_OUT[name] == colour) == (split == "val")
    )


class IconDataset(Records[CaptionedImage]):
    """Pictures of icons; split, seed and index decide what each shows. See `read_icons`."""

    def __init__(
        self, split: IconSplit, num_images: int, seed: int, size: int, vague: float
    ) -> None:
        if split not in get_args(IconSplit):
            raise ConfigError(f"split is one of {get_args(IconSplit)}. Received: split={split!r}")
        if num_images < 1 or not 0 <= seed < 2**31 or size < _MIN_SIZE:
            raise ConfigError(
                "Icons need at least one picture, a seed from 0 to 2**31 - 1, and pictures of at "
                f"least {_MIN_SIZE} pixels a side. "
                f"Received: num_images={num_images}, seed={seed}, size={size}"
            )
        check_share("vague", vague)
        self.split: IconSplit = split
        self.num_images, self.seed, self.size = num_images, seed, size
        self.vague = vague if split == "train" else 0.0
        self.problems = Problems()
        self._pairs = icon_pairs(split)

    def __len__(self) -> int:
        return self.num_images

    def record(self, index: int) -> CaptionedImage:
        """Draw one picture; `attributes` are what its caption says."""
        rng = self._rng(index)
        shown = self._arrangement(rng)
        image = draw_arrangement(shown, self.size, rng)
        said = _attributes(shown, rng, self.vague)
        key = f"icons/{self.split}/{self.size}/{self._number(index)}"
        return CaptionedImage(image, ((caption_of(said), ()),), key, attributes=said)

    def shown(self, index: int) -> Arrangement:
        """What a picture shows, also where its caption does not say it."""
        return self._arrangement(self._rng(index))

    def _number(self, index: int) -> int:
        """Pictures of two sets with different seeds never have the same number."""
        return self.seed * 2**32 + index

    def _rng(self, index: int) -> random.Random:
        return random.Random(f"superlink icons {self.split} {self._number(index)}")

    def _arrangement(self, rng: random.Random) -> Arrangement:
        name, colour = rng.choice(self._pairs)
        return Arrangement(name, colour, rng.choice(COUNTS), rng.choice(tuple(POSITIONS)))


def caption_of(said: Mapping[str, Any]) -> str:
    """A caption of attributes: `two red apples on the left`, `a blue fish`, `green keys`."""
    name, colour = said["object"], said["colour"]
    many = f"{colour} {plural(name)}"
    counted = count_phrase(name, said["count"], colour) if "count" in said else many
    return f"{counted} {POSITIONS[said['position']]}" if "position" in said else counted


def _attributes(shown: Arrangement, rng: random.Random, vague: float) -> dict[str, Any]:
    """What a caption says of a picture; a vague one says less."""
    said: dict[str, Any] = dict(vars(shown))
    if rng.random() < vague:
        # Without its number a single object could not be named.
        del said["position" if shown.count == 1 else rng.choice(("position", "count"))]
    return said


def read_icons(
    split: IconSplit = "train",
    num_images: int = 10_000,
    seed: int = 0,
    size: int = 48,
    vague: float = 0.2,
) -> IconDataset:
    """The built-in pictures of icons, as format `icons` of the task `generation`.

    Each shows one, two or three icons of one object in one colour, at one of five positions.

    Args:
        split: `val` has pairs of object and colour that `train` never shows, `seen` other pictures
            of the pairs that it does.
        num_images: How many pictures.
        seed: Of the pictures.
        size: Height and width in pixels.
        vague: Share of training captions that say nothing of the position, or no number.

    Raises:
        ConfigError: An option is out of its range.
    """
    return IconDataset(split, num_images, seed, size, vague)
