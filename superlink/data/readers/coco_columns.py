"""The annotations of a COCO file as columns: numbers as numbers, masks as text."""

from __future__ import annotations

import math
from array import array
from typing import Any

import numpy as np

from ..schema import Box
from .coco_entries import CocoAnnotation, Id
from .files import RawColumn

__all__ = ["CocoColumns"]


class CocoColumns:
    """Annotations, which are found by their image.

    Args:
        masks: Whether to keep the text of segmentations.
    """

    def __init__(self, *, masks: bool) -> None:
        self.masks = masks
        self.images, self.categories = array("i"), array("i")  # by their indices
        self.boxes = array("d")  # four for each
        self.areas = array("d")  # NaN where it is not known
        self.crowds = bytearray()
        self.ids: list[Id | None] = []
        self.segmentations, self.keypoints = RawColumn(), RawColumn()
        self.attributes: dict[int, dict[str, Any]] = {}

    def append(self, image: int, category: int, box: Box, entry: CocoAnnotation) -> None:
        """Add an annotation, of an image and a category by their indices."""
        if entry.attributes:
            self.attributes[len(self.ids)] = entry.attributes
        self.images.append(image)
        self.categories.append(category)
        self.boxes.extend(box)
        self.areas.append(math.nan if entry.area is None else entry.area)
        self.crowds.append(bool(entry.iscrowd))
        self.ids.append(entry.id)
        self.segmentations.append(entry.segmentation if self.masks else b"")
        self.keypoints.append(entry.keypoints)

    def sort(self, num_images: int) -> None:
        """Be ready to be asked for the rows of an image."""
        images = np.array(self.images, np.int32)
        self._order = images.argsort(kind="stable").astype(np.int32)
        self._starts = images[self._order].searchsorted(np.arange(num_images + 1))

    def rows(self, image: int) -> list[int]:
        """Where the annotations of an image are, in the order of the file."""
        rows: list[int] = self._order[self._starts[image] : self._starts[image + 1]].tolist()
        return rows
