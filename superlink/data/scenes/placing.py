"""Where objects go on a scene, and what is annotated of them once all are there."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..masks import mask_box
from ..schema import AnnotatedObject
from .captions import position_word, size_word

__all__ = ["Placed", "annotate", "place"]

_MIN_VISIBLE = 0.4  # share of an object that later ones must leave to be seen
_NUM_TRIES = 5


@dataclass
class Placed:
    """An object on the canvas, while later ones may still cover it."""

    name: str
    mask: npt.NDArray[np.bool_]
    """(size, size), its visible pixels."""
    area: int
    """How many pixels it had when it was pasted."""
    keypoints: npt.NDArray[np.float32] | None
    """(K, 3): x, y in pixels of the scene, and 2, or 1 where the object itself hides the point."""


def place(
    canvas: Image.Image,
    placed: list[Placed],
    name: str,
    sprite: Image.Image,
    keypoints: npt.NDArray[np.float32] | None,
    rng: random.Random,
) -> None:
    """Paste an object where it leaves enough of the others to be seen, or not at all.

    So nothing is on the picture that has no label.
    """
    opaque = np.asarray(sprite.getchannel("A")) > 127
    for _ in range(_NUM_TRIES):
        x = rng.randint(0, canvas.width - sprite.width)
        y = rng.randint(0, canvas.height - sprite.height)
        window = np.s_[y : y + sprite.height, x : x + sprite.width]
        if all(_stays_visible(item, window, opaque) for item in placed):
            break
    else:
        return
    canvas.paste(sprite, (x, y), sprite)
    for item in placed:
        item.mask[window] &= ~opaque
    mask = np.zeros((canvas.height, canvas.width), np.bool_)
    mask[window] = opaque
    shifted = None if keypoints is None else keypoints + np.array([x, y, 0], np.float32)
    placed.append(Placed(name, mask, int(opaque.sum()), shifted))


def _stays_visible(
    item: Placed, window: tuple[slice, slice], opaque: npt.NDArray[np.bool_]
) -> bool:
    covered = np.count_nonzero(item.mask[window] & opaque)
    return bool(np.count_nonzero(item.mask) - covered >= _MIN_VISIBLE * item.area)


def annotate(item: Placed, count: int) -> AnnotatedObject:
    """What is seen of an object, of which class there are `count` on the scene."""
    height, width = item.mask.shape
    bbox = mask_box(item.mask)
    attributes = {
        "size": size_word(np.count_nonzero(item.mask) / item.mask.size),
        "position": position_word(bbox, width, height),
        "count": count,
    }
    keypoints = None if item.keypoints is None else _with_visibility(item.keypoints, item.mask)
    return AnnotatedObject(item.name, bbox, item.mask, keypoints, attributes)


def _with_visibility(
    points: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float32]:
    """`points` (K, 3), hidden where other objects cover the object's own pixel, too."""
    height, width = mask.shape
    x = points[:, 0].astype(int).clip(0, width - 1)
    y = points[:, 1].astype(int).clip(0, height - 1)
    seen = np.where(mask[y, x], points[:, 2], 1)
    return np.column_stack([points[:, :2], seen]).astype(np.float32)
