"""How each kind of stuff in a landscape is painted: sky, grass, sand, road, sea and wall."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .palette import Brush
from .textures import Pixels, ground, noise

__all__ = ["STUFF", "paint"]


def paint(name: str, brush: Brush, height: int) -> Pixels:
    """`height` rows of some stuff as wide as the scene: (height, size, 3), from 0 to 255."""
    return STUFF[name](brush, height)


def _sky(brush: Brush, height: int) -> Pixels:
    """From the zenith down to the haze, with clouds."""
    rng, shape = brush.rng, (height, brush.size)
    depth = np.linspace(0, 1, height, dtype=np.float32)[:, None, None] ** rng.uniform(0.7, 1.3)
    zenith, haze = np.array(brush.zenith, np.float32), np.array(brush.haze, np.float32)
    pixels = zenith + (haze - zenith) * depth
    clouds = noise(rng, shape, (5, 3)) + 0.5 * noise(rng, shape, (12, 6))
    clouds += 0.3 * noise(rng, shape, (28, 16)) - rng.uniform(0.0, 0.8)
    cover = (clouds.clip(0, 0.7) / 0.7)[..., None] * rng.uniform(0.5, 0.95)
    white = np.array((250, 250, 250), np.float32) * 0.7 + haze * 0.3
    return np.asarray(pixels + (white - pixels) * cover, np.float32)


def _grass(brush: Brush, height: int) -> Pixels:
    blades = ground("grass", brush.rng, brush.split, brush.size, height, 3)
    patches = noise(brush.rng, blades.shape, (5, 5))
    return _faded(brush, brush.color("grass") * _shade((blades, 0.2), (patches, 0.09)), 0.3)


def _sand(brush: Brush, height: int) -> Pixels:
    """Fine grain, and the soft shadows of ripples, which lie closer together far away."""
    rng, shape = brush.rng, (height, brush.size)
    grain = ground("gravel", rng, brush.split, brush.size, height, 8)
    depth = np.linspace(0.15, 1, height, dtype=np.float32)[:, None]
    drift = noise(rng, shape, (3, 4))
    ripples = np.sin(rng.uniform(10, 16) * np.log(depth) + 5 * drift)
    shade = _shade((grain, 0.045), (ripples, rng.uniform(0.02, 0.06)), (drift, 0.05))
    return _faded(brush, brush.color("sand") * shade, 0.25)


def _road(brush: Brush, height: int) -> Pixels:
    grain = ground("gravel", brush.rng, brush.split, brush.size, height, 6)
    stains = noise(brush.rng, grain.shape, (6, 4))
    return _faded(brush, brush.color("road") * _shade((grain, 0.07), (stains, 0.05)), 0.2)


def _sea(brush: Brush, height: int) -> Pixels:
    """Waves as flat streaks, broader near the viewer, with crests in the colour of the sky."""
    rng, size = brush.rng, brush.size
    streaks = noise(rng, (size, size), (64, 12)) + 0.6 * noise(rng, (size, size), (128, 32))
    depth = np.linspace(0, 1, height, dtype=np.float32)
    steep = rng.uniform(3, 5)
    rows = steep * depth / (1 + (steep - 1) * depth) * (size - 2)
    share = (rows % 1)[:, None]
    waves = streaks[rows.astype(int)] * (1 - share) + streaks[rows.astype(int) + 1] * share
    water, haze = brush.color("sea"), np.array(brush.haze, np.float32)
    pixels = water * _shade((waves, 0.14), (depth[:, None] * waves, 0.05))
    crests = ((waves - rng.uniform(0.5, 0.8)).clip(0, 0.6) / 0.6)[..., None]
    pixels += (haze - pixels) * (0.55 * crests)
    return _faded(brush, pixels, 0.35)


def _wall(brush: Brush, height: int) -> Pixels:
    """Courses of bricks, each a little lighter or darker, and mortar between them."""
    rng, size = brush.rng, brush.size
    course = size * rng.uniform(0.05, 0.085)
    length = course * rng.uniform(2.0, 2.8)
    y = (np.arange(height, dtype=np.float32)[:, None] + rng.uniform(0, course)) / course
    row = y.astype(int)
    x = np.arange(size, dtype=np.float32) / length + 0.5 * (row % 2) + rng.random()
    column = x.astype(int)
    values = np.frombuffer(rng.randbytes(64 * 64), np.uint8).reshape(64, 64)
    bricks = values[row % 64, column % 64].astype(np.float32) / 127.5 - 1
    joint = max(0.12, 1.0 / course)
    mortar = ((y % 1 < joint) | (x % 1 < joint * course / length))[..., None]
    grain = noise(rng, bricks.shape, bricks.shape)
    stone = brush.color("wall") * _shade((bricks, 0.12), (grain, 0.06))
    joints = np.array((196, 190, 180), np.float32) * rng.uniform(0.75, 1.0)
    return np.where(mortar, joints * _shade((grain, 0.05)), stone)


STUFF: dict[str, Callable[[Brush, int], Pixels]] = {
    **{"grass": _grass, "road": _road, "sand": _sand},
    **{"sea": _sea, "sky": _sky, "wall": _wall},
}
"""Name to what paints so many rows of it, the farthest first."""


def _shade(*patterns: tuple[Pixels, float]) -> Pixels:
    """Patterns (H, W), each with its strength, as one factor (H, W, 1) about 1."""
    total = np.asarray(sum(pattern * strength for pattern, strength in patterns), np.float32)
    return total[..., None] + 1


def _faded(brush: Brush, pixels: Pixels, most: float) -> Pixels:
    """Ground that takes on the colour of the air towards its farthest row."""
    far = np.linspace(1, 0, len(pixels), dtype=np.float32)[:, None, None] ** 2
    return pixels + (np.array(brush.haze, np.float32) - pixels) * (most * far)
