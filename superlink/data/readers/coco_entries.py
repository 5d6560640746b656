"""The entries of a COCO file, and what can be wrong with one alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from ..schema import Box
from .files import DECODE_ERRORS

__all__ = [
    "CocoAnnotation",
    "CocoCategory",
    "CocoContent",
    "CocoImage",
    "Id",
    "Identity",
    "ObjectReference",
    "cut_box",
    "decode_keypoints",
    "empty_doubles",
    "keypoints_fault",
    "polygons_fault",
    "runs_fault",
]

Id = int | float | str
"""Whole numbers may be written as 1.0."""

_NOTHING = msgspec.Raw()


class CocoImage(msgspec.Struct, kw_only=True):
    """An entry of `images`."""

    id: Id
    file_name: str
    width: float | None = None
    height: float | None = None
    caption: str | None = None
    key: Id | None = None
    category_ids: list[Id] | None = None
    """All that is annotated in it, where that is not the usual; `export_coco` writes it."""
    not_exhaustive_category_ids: list[Id] = []
    """Classes of which it may show more than are annotated."""

    def file_names(self) -> tuple[str, ...]:
        """Where its file may be, relative to the folder; the first that is there is taken."""
        return (self.file_name,)

    def known_categories(self) -> Sequence[Id] | None:
        """Categories that are known of it, beside those of its objects; None for all."""
        return self.category_ids


class CocoCategory(msgspec.Struct, kw_only=True):
    """An entry of `categories`."""

    id: Id
    name: Id
    keypoints: list[str] | None = None
    skeleton: msgspec.Raw = _NOTHING
    synonyms: list[str] = []


class Identity(msgspec.Struct):
    """As much of a broken entry as its id."""

    id: Id


class ObjectReference(msgspec.Struct, kw_only=True, gc=False):
    """As much of a broken annotation as what it is of."""

    image_id: Id
    category_id: Id


class CocoAnnotation(ObjectReference, kw_only=True, gc=False):
    """An entry of `annotations`."""

    bbox: tuple[float, float, float, float]
    id: Id | None = None
    iscrowd: bool | int | None = False
    area: float | None = None
    segmentation: msgspec.Raw = _NOTHING
    keypoints: msgspec.Raw = _NOTHING
    attributes: dict[str, Any] | None = None


class CocoContent(msgspec.Struct):
    """A file; its long lists are decoded entry by entry."""

    images: list[msgspec.Raw]
    annotations: list[msgspec.Raw]
    categories: list[CocoCategory]


def cut_box(box: Sequence[float], size: tuple[float, float]) -> Box | None:
    """The part of a box (x1, y1, x2, y2) inside of an image; None where there is none."""
    x1, y1 = max(0.0, box[0]), max(0.0, box[1])
    x2, y2 = min(float(size[0]), box[2]), min(float(size[1]), box[3])
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None


def decode_keypoints(text: bytes | msgspec.Raw) -> npt.NDArray[np.float32] | None:
    """Keypoints (K, 3) from their JSON; None where there are none."""
    values = msgspec.json.decode(text, type=list[float] | None) if memoryview(text) else None
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is found out
        return np.array(values, np.float32).reshape(-1, 3) if values else None


def keypoints_fault(text: msgspec.Raw, number: int) -> str:
    """What is wrong with keypoints in JSON, of a category that has `number` of them, if known."""
    try:
        points = decode_keypoints(text)
    except (*DECODE_ERRORS, ValueError):
        return "its keypoints are not a list of x, y and visibility, over and over"
    if points is not None and not np.isfinite(points).all():
        return "its keypoints are not finite"
    if points is not None and number and len(points) != number:
        return "its category has another number of keypoints"
    return ""


def polygons_fault(text: msgspec.Raw) -> str:
    """What is wrong with the lengths of polygons in JSON; what lies in them is not decoded."""
    written = bytes(text)
    if not written.startswith(b"["):  # no list of polygons
        return ""
    numbers = [part.split(b"]")[0].count(b",") + 1 for part in written[1:].split(b"[")[1:]]
    if any(number < 6 or number % 2 for number in numbers):
        return "a polygon of it is not x and y of 3 points or more"
    return ""


class _Runs(msgspec.Struct, gc=False):
    """As much of run lengths as their size."""

    size: tuple[int, int]


def runs_fault(text: msgspec.Raw, size: tuple[int, int] | None) -> str:
    """What is wrong with the size of run lengths in JSON, of an image of `size` (width, height)."""
    if size is None or not bytes(text).startswith(b"{"):
        return ""
    with suppress(*DECODE_ERRORS):
        if msgspec.json.decode(text, type=_Runs).size == size[::-1]:
            return ""
    return "its run lengths do not have the image's size [height, width]"


def empty_doubles(
    categories: Sequence[CocoCategory], names: Sequence[str], annotations: Sequence[msgspec.Raw]
) -> list[int]:
    """Indices of the categories that share their name with another and have no annotations.

    Roboflow writes a supercategory of the name of its only class. One of each name is kept.
    """
    numbers = Counter(names)
    if max(numbers.values(), default=0) < 2:
        return []
    used: set[Id] = set()
    for text in annotations:
        with suppress(*DECODE_ERRORS):
            used.add(msgspec.json.decode(text, type=ObjectReference).category_id)
    found = []
    for index, (category, name) in enumerate(zip(categories, names, strict=True)):
        if numbers[name] > 1 and category.id not in used:
            numbers[name] -= 1
            found.append(index)
    return found
