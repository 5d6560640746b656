"""Records mirrored: pixels, boxes, masks and the words for left and right, all together."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from PIL import ImageOps

from .schema import AnnotatedImage, AnnotatedObject, CountedImage, Mask, ReferringImage

__all__ = ["mirror_words", "mirrored", "sometimes_mirrored"]

Record = TypeVar("Record", AnnotatedImage, ReferringImage, CountedImage)

_SIDES = {"left": "right", "right": "left"}
# A word that begins with a side, as leftmost and right-hand do; `bright` and `leftover` do not.
_WORD = re.compile(r"\b(left|right)(?=(most|-hand|-most|ward|wards)?\b)", re.IGNORECASE)


def sometimes_mirrored(record: Record, rng: random.Random, share: float) -> Record:
    """The record, or its mirror image in a `share` of the draws.

    A record with keypoints stays as it is: which of them trade places when left becomes right is
    not known here.
    """
    if not share or rng.random() >= share:
        return record
    if any(item.keypoints is not None for item in record.objects):
        return record
    return mirrored(record)


def mirrored(record: Record) -> Record:
    """The mirror image of a record: what was on the left is on the right, and is called so."""
    image = record.open()
    changes: dict[str, Any] = {
        "image": ImageOps.mirror(image),
        "objects": _mirrored_objects(record.objects, image.width),
    }
    if isinstance(record, AnnotatedImage):
        changes["ignored"] = _mirrored_objects(record.ignored, image.width)
        changes["caption"] = mirror_words(record.caption)
    if isinstance(record, ReferringImage):
        changes["expression"] = mirror_words(record.expression)
    if not isinstance(record, CountedImage):
        changes["void"] = _mirrored_mask(record.void)
    return replace(record, **changes)


def mirror_words(text: str) -> str:
    """`text` with left and right exchanged as whole words, in the letters' own case."""
    return _WORD.sub(lambda found: _like(found[1], _SIDES[found[1].lower()]), text)


def _mirrored_objects(
    objects: tuple[AnnotatedObject, ...], width: int
) -> tuple[AnnotatedObject, ...]:
    return tuple(_mirrored_object(item, width) for item in objects)


def _mirrored_object(item: AnnotatedObject, width: int) -> AnnotatedObject:
    x1, y1, x2, y2 = item.bbox
    words = {
        key: mirror_words(value) if isinstance(value, str) else value
        for key, value in item.attributes.items()
    }
    return replace(
        item,
        bbox=(width - x2, y1, width - x1, y2),
        mask=_mirrored_mask(item.mask),
        attributes=words,
    )


def _mirrored_mask(mask: Mask | None) -> Mask | None:
    return None if mask is None else np.ascontiguousarray(mask[:, ::-1])


def _like(model: str, word: str) -> str:
    if model.isupper():
        return word.upper()
    return word.capitalize() if model[0].isupper() else word
