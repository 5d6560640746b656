"""Landscapes to segment: a sky, and below it one or two regions with irregular borders.

Training and validation draw from other halves of the textures and from tints that they do not
share; layouts and horizons are of the same kind.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping

import numpy as np
from PIL import Image

from ..schema import Mask
from .palette import Brush
from .photos import Split
from .stuff import STUFF, paint
from .textures import Pixels, noise

__all__ = ["draw_landscape", "stuff_names"]

_LAYOUTS: tuple[tuple[str, ...], ...] = (
    *(("grass",), ("sand",), ("sea",), ("wall",)),
    *(("sea", "sand"), ("sea", "grass"), ("grass", "sea"), ("sand", "sea"), ("sand", "grass")),
    *(("wall", "grass"), ("wall", "road"), ("wall", "sand")),
    *(("grass", "road"), ("sand", "road"), ("grass", "road")),
)
"""What lies below the sky, the farther one first."""

_BUMPS = {"grass": 0.05, "sand": 0.045, "sea": 0.0, "road": 0.0, "wall": 0.0}
"""How far the horizon of each stuff strays from a line, as a share of the scene."""
_AWAY = 0.7  # share of the roads through open land that lead to the horizon
_BATTLEMENTS = 0.35  # share of the walls that have some
_MARKING = np.array((232, 230, 220), np.float32)
_FOAM = np.array((246, 248, 248), np.float32)


def stuff_names() -> tuple[str, ...]:
    """The kinds of stuff that landscapes show, in alphabetical order."""
    return tuple(sorted(STUFF))


def draw_landscape(
    rng: random.Random, size: int, split: Split
) -> tuple[Image.Image, Mapping[str, Mask]]:
    """Draw a landscape.

    Args:
        rng: Where all draws come from.
        size: Height and width in pixels.
        split: Whose textures and tints are used.

    Returns:
        The picture, and a mask (size, size) for each kind of stuff in it; every pixel is in
        exactly one of them.
    """
    far, *near = rng.choice(_LAYOUTS)
    scene = _Landscape(rng, size, split, far)
    if near == ["road"] and far != "wall" and rng.random() < _AWAY:
        scene.lead_road_away()
    elif near:
        scene.lay_before(near[0])
    return scene.finish()


class _Landscape:
    """A picture that grows from the sky to the foreground."""

    def __init__(self, rng: random.Random, size: int, split: Split, far: str) -> None:
        self.rng, self.size, self.far = rng, size, far
        self.brush = Brush.draw(rng, split, size)
        self.pixels = np.zeros((size, size, 3), np.float32)
        self.labels = np.zeros((size, size), np.uint8)
        self.names = ["sky"]
        self.x = np.arange(size, dtype=np.float32)
        self.y = np.arange(size, dtype=np.float32)[:, None]
        # The camera's own tilt is common to all borders.
        self.tilt = rng.uniform(-0.06, 0.06)
        self.level = rng.uniform(0.15, 0.4) if far == "wall" else rng.uniform(0.25, 0.5)
        self.horizon = self._border(self.level, _BUMPS[far], far)
        rows = math.ceil(self.horizon.max()) + 1
        self.pixels[:rows] = paint("sky", self.brush, rows)
        self._lay(far, self.horizon)

    def lay_before(self, name: str) -> None:
        """Put a second region in front of the first one."""
        built = self.far == "wall"
        level = self.rng.uniform(0.62, 0.82) if built else self.level + self.rng.uniform(0.2, 0.35)
        border = self._border(level, 0.0 if built or name == "road" else 0.045, name)
        self._lay(name, border)
        if {name, self.far} == {"sea", "sand"}:
            self._add_foam(border, 1 if name == "sea" else -1)
        if built:
            self._darken_foot(border)
        if name == "road":
            self._mark_along(border)

    def lead_road_away(self) -> None:
        """A road from the lower edge to the horizon, straight or in a bend."""
        rng, size = self.rng, self.size
        start, end = rng.uniform(0.2, 0.8) * size, rng.uniform(0.25, 0.75) * size
        top = float(self.horizon[int(end)])
        depth = ((self.y - top) / (size - top)).clip(0, 1)
        bend = rng.uniform(-0.25, 0.25) * size * depth * (1 - depth)
        half = (0.01 + rng.uniform(0.17, 0.34) * depth) * size
        aside = self.x - (end + (start - end) * depth + bend)
        verge = noise(rng, (size, 2), (size // 3, 2))[:, :1] * (0.012 * size * depth)
        cover = (half + verge - np.abs(aside) + 0.5).clip(0, 1)
        first = int(top)
        road = np.zeros_like(self.pixels)
        road[first:] = paint("road", self.brush, size - first)
        _draw_lines(road, np.abs(aside) / half, depth, rng)
        self._cover("road", road, cover * (self.y - self.horizon + 0.5).clip(0, 1))

    def finish(self) -> tuple[Image.Image, dict[str, Mask]]:
        """The picture in the light of the day, and a mask for each kind of stuff that is seen."""
        pixels = (self.pixels * self.rng.uniform(0.8, 1.08)).clip(0, 255).astype(np.uint8)
        masks = {name: self.labels == index for index, name in enumerate(self.names)}
        return Image.fromarray(pixels), {name: mask for name, mask in masks.items() if mask.any()}

    def _border(self, level: float, bumps: float, name: str) -> Pixels:
        """The upper border (W,) of a region, as y of each column."""
        rng, share = self.rng, self.x / self.size
        height = level + self.tilt * (share - 0.5)
        for waves in (1, 2, 4):
            strength = bumps * rng.uniform(0.3, 1.0) / waves
            height += strength * np.sin(2 * math.pi * (waves * share + rng.random()))
        if name == "grass":
            height += 0.008 * noise(rng, (2, self.size), (2, self.size // 2))[0]
        if name == "wall" and rng.random() < _BATTLEMENTS:
            gaps = (share * rng.uniform(3, 6) + rng.random()) % 1 < 0.5
            height += rng.uniform(0.03, 0.06) * gaps
        return np.asarray(height * self.size, np.float32)

    def _lay(self, name: str, border: Pixels) -> None:
        """Paint a region from its upper border to the bottom."""
        first = max(0, int(border.min()) - 1)
        painted = np.zeros_like(self.pixels)
        painted[first:] = paint(name, self.brush, self.size - first)
        below = self.y - border
        if name == "wall":
            coping = (below < 0.028 * self.size)[..., None]
            painted += np.where(coping, (painted[first:].mean((0, 1)) - painted) * 0.5 + 25, 0)
        self._cover(name, painted, (below + 0.5).clip(0, 1))

    def _cover(self, name: str, painted: Pixels, cover: Pixels) -> None:
        """Blend something in by its cover (H, W); what is covered by half belongs to it."""
        self.pixels += (painted - self.pixels) * cover[..., None]
        self.labels[cover > 0.5] = len(self.names)
        self.names.append(name)

    def _add_foam(self, border: Pixels, side: int) -> None:
        """Surf on the side of a shore that the sea is on: 1 below the border, -1 above."""
        away = side * (self.y - border) / self.size
        ragged = away + 0.008 * noise(self.rng, away.shape, (24, 24))
        surf = _ridge(ragged, 0.012, 0.012) + 0.6 * _ridge(ragged, 0.055, 0.01)
        cover = np.where(away > 0, surf, 0).clip(0, 0.9)[..., None]
        self.pixels += (_FOAM - self.pixels) * cover

    def _darken_foot(self, border: Pixels) -> None:
        """The shadow where a wall meets the ground."""
        above = (border - self.y) / (0.03 * self.size)
        shadow = np.where(above > 0, 0.35, 0.25) * np.exp(-np.abs(above))
        self.pixels *= (1 - shadow)[..., None].astype(np.float32)

    def _mark_along(self, border: Pixels) -> None:
        """The kerb and the dashed middle of a road that crosses the picture."""
        below = (self.y - border) / self.size
        middle = self.rng.uniform(0.45, 0.6) * (1 - float(border.mean()) / self.size)
        dashes = (self.x / self.size * self.rng.uniform(3, 5) + self.rng.random()) % 1 < 0.55
        lines = (np.abs(below - middle) < 0.014) & dashes
        lines |= (below > 0.01) & (below < 0.024)
        self.pixels += np.where(lines[..., None], (_MARKING - self.pixels) * 0.85, 0)


def _ridge(values: Pixels, middle: float, width: float) -> Pixels:
    """1 where `values` are `middle`, and less the farther they are from it."""
    return np.asarray(np.exp(-(((values - middle) / width) ** 2)), np.float32)


def _draw_lines(road: Pixels, aside: Pixels, depth: Pixels, rng: random.Random) -> None:
    """White lines on a road that leads away: both edges, and the dashed middle.

    Args:
        road: The pixels (H, W, 3) that are changed.
        aside: (H, W), how far from the middle, 1 on the edge.
        depth: (H, 1), from 0 on the horizon to 1 at the viewer.
        rng: Where the place of the dashes comes from.
    """
    dashes = (rng.uniform(0.9, 1.4) / (depth + 0.12) + rng.random()) % 1 < 0.5
    lines = ((aside < 0.05) & dashes) | ((aside > 0.86) & (aside < 0.93))
    road += np.where(lines[..., None], (_MARKING - road) * 0.85, 0)
