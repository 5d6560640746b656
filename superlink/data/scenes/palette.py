"""What colours landscapes have: tints of each kind of stuff, and the air of one scene."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np

from .photos import Split
from .textures import Pixels

__all__ = ["Brush"]

Color = tuple[int, int, int]
Tint = tuple[Color, Color]
"""Two colours; one between them is drawn."""

_TINTS: dict[str, dict[Split, tuple[Tint, ...]]] = {
    "grass": {
        "train": (((58, 122, 38), (88, 150, 52)), ((112, 140, 48), (134, 158, 66))),
        "val": (((38, 96, 44), (62, 118, 62)), ((92, 132, 40), (108, 142, 52))),
    },
    "road": {
        "train": (((92, 92, 96), (122, 120, 118)),),
        "val": (((62, 64, 70), (84, 84, 88)),),
    },
    "sand": {
        "train": (((214, 184, 130), (236, 212, 164)),),
        "val": (((204, 154, 104), (216, 174, 120)),),
    },
    "sea": {
        "train": (((26, 84, 142), (46, 124, 172)),),
        "val": (((22, 98, 112), (48, 134, 140)),),
    },
    "sky": {
        "train": (((58, 122, 206), (112, 168, 230)), ((128, 160, 200), (160, 186, 214))),
        "val": (((92, 96, 158), (124, 134, 178)), ((88, 132, 176), (110, 150, 190))),
    },
    "wall": {
        "train": (((150, 74, 54), (184, 104, 80)), ((130, 98, 78), (150, 116, 94))),
        "val": (((168, 142, 110), (194, 172, 142)), ((112, 60, 52), (134, 76, 64))),
    },
}
"""Training and validation share no tint."""

_HORIZON: dict[Split, tuple[Tint, ...]] = {
    "train": (((186, 214, 240), (222, 234, 246)), ((226, 226, 226), (244, 234, 222))),
    "val": (((246, 196, 142), (252, 220, 184)), ((200, 212, 220), (232, 228, 210))),
}
"""The colour that each tint of the sky fades to."""


@dataclass(frozen=True)
class Brush:
    """What all regions of one landscape have in common."""

    rng: random.Random
    """Where all draws come from."""
    split: Split
    """Whose tints and textures are used."""
    size: int
    """Width of the scene in pixels."""
    zenith: Color
    """The colour of the sky overhead."""
    haze: Color
    """The colour of the sky above the horizon, which far ground fades to."""

    @classmethod
    def draw(cls, rng: random.Random, split: Split, size: int) -> Brush:
        """The air and the light of a landscape."""
        choice = rng.randrange(len(_TINTS["sky"][split]))
        zenith = _between(rng, _TINTS["sky"][split][choice])
        return cls(rng, split, size, zenith, _between(rng, _HORIZON[split][choice]))

    def color(self, name: str) -> Pixels:
        """A colour (3,) for a kind of stuff."""
        return np.array(_between(self.rng, self.rng.choice(_TINTS[name][self.split])), np.float32)


def _between(rng: random.Random, tint: Tint) -> Color:
    share = rng.random()
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(*tint, strict=True))
    return red, green, blue
