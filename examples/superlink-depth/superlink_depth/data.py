"""Toy data, generated: pictures of coloured circles, and for each colour the mask of its circle."""

import random
import sys
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

COLORS = ("red", "green", "blue", "yellow", "purple")
SIDE = 64


@dataclass(frozen=True)
class Picture:
    """A record. What a reader of your own yields is up to you: only `task.py` looks inside."""

    image: Image.Image
    masks: dict[str, Tensor]  # (H, W) of bool by name: true on the circle
    key: str


def draw_pictures(num_pictures: int = 500, seed: int = 0) -> list[Picture]:
    """The reader: what a recipe names as format `toy`, with its options."""
    return [draw_picture(f"toy-{seed}-{index}") for index in range(num_pictures)]


def draw_picture(key: str) -> Picture:
    """Three circles of different colours, each in a quarter of the picture; `key` is the seed."""
    rng = random.Random(key)
    image = Image.new("RGB", (SIDE, SIDE), "white")
    masks = {f"{color} circle": torch.zeros(SIDE, SIDE, dtype=torch.bool) for color in COLORS}
    quarters = rng.sample([(x, y) for x in (0, 1) for y in (0, 1)], 3)
    for color, quarter in zip(rng.sample(COLORS, 3), quarters, strict=True):
        x, y = ((2 * half + 1) * SIDE / 4 + rng.uniform(-4, 4) for half in quarter)
        radius, mask = rng.uniform(7, 11), Image.new("L", image.size)
        box = (x - radius, y - radius, x + radius, y + radius)
        ImageDraw.Draw(image).ellipse(box, fill=color)
        ImageDraw.Draw(mask).ellipse(box, fill=1)
        masks[f"{color} circle"] = torch.from_numpy(np.array(mask) > 0)
    return Picture(image, masks, key)


if __name__ == "__main__":  # python -m superlink_depth.data picture.png
    draw_picture("toy").image.save(sys.argv[1])
