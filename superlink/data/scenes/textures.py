"""Grey patterns to paint with: ground from photographs of grass and gravel, and smooth noise."""

from __future__ import annotations

import random
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from .photos import PHOTOS, Split

__all__ = ["Pixels", "Texture", "ground", "noise"]

Pixels = npt.NDArray[np.float32]
Texture = Literal["grass", "gravel"]

_NEAR_SCALE = (2.0, 3.5)
"""How much larger the nearest row of ground is than the farthest."""


def noise(rng: random.Random, shape: tuple[int, int], cells: tuple[int, int]) -> Pixels:
    """Smooth noise (H, W) from -1 to 1 with so many independent values down and across.

    It is made of random bytes: numpy's own generators may change with its version.
    """
    rows, columns = (min(cell, side) for cell, side in zip(cells, shape, strict=True))
    grid = Image.frombytes("L", (columns, rows), rng.randbytes(rows * columns))
    smooth = grid.resize(shape[::-1], Image.Resampling.BICUBIC)
    return np.asarray(smooth, np.float32) / 127.5 - 1


def ground(
    name: Texture, rng: random.Random, split: Split, size: int, height: int, repeats: int = 2
) -> Pixels:
    """A level plane of a texture, seen from above at a slant.

    Args:
        name: The texture.
        rng: Where the view comes from.
        split: Whose half of the photograph it shows.
        size: Width in pixels, that of the scene.
        height: How many rows; the first one is the farthest.
        repeats: How often the texture stands side by side; the more, the finer its grain.

    Returns:
        (height, size), with mean 0 and a standard deviation of about 1.
    """
    tile = _tile(name, split, 2 * size, repeats)
    far = rng.uniform(1.6, 2.0)  # pixels of the tile for one of the farthest row
    nearer = rng.uniform(*_NEAR_SCALE)
    bend = (nearer - 1) / height
    # The x and y of the tile for each pixel, both over 1 + bend * row: rows close up far away.
    left = rng.uniform(0, tile.width - far * size)
    middle = left + far * size / 2
    down = min(far * nearer, tile.height * nearer / height)
    top = rng.uniform(0, tile.height - down * height / nearer)
    view = tile.transform(
        (size, height),
        Image.Transform.PERSPECTIVE,
        (far, middle * bend, left, 0.0, down + top * bend, top, 0.0, bend),
        Image.Resampling.BILINEAR,
    )
    return np.asarray((np.asarray(view, np.float32) - 128) / 40, np.float32)


@lru_cache(maxsize=16)
def _tile(name: Texture, split: Split, width: int, repeats: int) -> Image.Image:
    """One half of a texture, left for training and right for validation, `repeats` times."""
    photo = next(photo for photo in PHOTOS if photo.path == f"data/{name}.png").load().convert("L")
    left = 0 if split == "train" else photo.width // 2
    half = photo.crop((left, 0, left + photo.width // 2, photo.height))
    side = -(-width // repeats)
    half = half.resize((side, 2 * side), Image.Resampling.LANCZOS)
    values = np.asarray(half, np.float32)
    values = (values - values.mean()) / values.std()
    once = (values * 40 + 128).clip(0, 255).astype(np.uint8)
    # Seams are lost in the grain, where the symmetry of mirrored tiles would be seen.
    shifted = np.roll(once, once.shape[1] // 3, axis=1)
    return Image.fromarray(np.tile(np.concatenate([once, shifted]), (-(-repeats // 2), repeats)))
