"""What a reader yields: images with named objects, in one form for all tasks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..errors import InputError
from ..interfaces.images import open_image

__all__ = ["AnnotatedImage", "AnnotatedObject"]

Box = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class AnnotatedObject:
    """One object of an image."""

    name: str
    """What it is called: one of the categories of its image."""
    bbox: Box
    """(x1, y1, x2, y2) in pixels of the original image, x2 and y2 behind the last pixel."""
    mask: npt.NDArray[np.bool_] | None = None
    """(H, W), true on the visible pixels of the object."""
    keypoints: npt.NDArray[np.float32] | None = None
    """(K, 3) x, y and visibility as in COCO: 0 not labelled, 1 hidden, 2 visible."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """What else is known of it, for instance its size and its position."""

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise InputError(f"An object needs a name. Received: {self.name!r}")
        x1, y1, x2, y2 = self.bbox
        if not all(map(math.isfinite, self.bbox)) or x1 >= x2 or y1 >= y2:
            raise InputError(
                "A box is (x1, y1, x2, y2) with x1 < x2 and y1 < y2, all finite. "
                f"Received: bbox={self.bbox!r} of {self.name!r}"
            )
        if self.mask is not None and (self.mask.ndim != 2 or self.mask.dtype != np.bool_):
            raise InputError(
                "A mask is a bool array (H, W). "
                f"Received: {self.mask.dtype} {self.mask.shape} of {self.name!r}"
            )
        points = self.keypoints
        if points is not None and (points.ndim != 2 or points.shape[1] != 3):
            raise InputError(
                "Keypoints are an array (K, 3) of x, y and visibility. "
                f"Received: shape {points.shape} of {self.name!r}"
            )


@dataclass(frozen=True, eq=False)
class AnnotatedImage:
    """An image, its objects, and the vocabulary that they are told apart in."""

    image: Image.Image | Path
    """The pixels, or the file that holds them."""
    objects: tuple[AnnotatedObject, ...]
    """The objects; none is fine."""
    categories: tuple[str, ...]
    """Every name that is annotated in this image wherever it occurs: what is not among the objects
    is known to be absent."""
    key: str
    """A stable name of the record."""
    caption: str = ""
    """One sentence on the image; empty where there is none."""
    size: tuple[int, int] | None = None
    """Width and height that the objects were annotated at, where it is known."""

    def __post_init__(self) -> None:
        if len(set(self.categories)) != len(self.categories):
            raise InputError(
                f"Categories must differ. Received: {self.categories!r} in {self.source}"
            )
        if unknown := sorted({item.name for item in self.objects} - set(self.categories)):
            raise InputError(
                "Objects must bear the name of a category. "
                f"Received: {unknown!r} in {self.source}. "
                f"Choose from {self.categories!r}"
            )
        if isinstance(self.image, Image.Image):
            self._check_inside(self.image.width, self.image.height)

    @property
    def source(self) -> str:
        """How errors call this record: its file, or its key."""
        return str(self.image) if isinstance(self.image, Path) else f"record {self.key!r}"

    def open(self) -> Image.Image:
        """The image in RGB, read from its file where it is one.

        Raises:
            InputError: The file cannot be read, or is not the image that was annotated.
        """
        image = open_image(self.image)
        if self.size is not None and image.size != self.size:
            raise InputError(
                f"The annotations are of an image of {self.size[0]} x {self.size[1]} pixels. "
                f"Received: {image.width} x {image.height} in {self.source}. It was resized, or "
                "turned by its EXIF data, after it was annotated."
            )
        return image

    def _check_inside(self, width: int, height: int) -> None:
        for item in self.objects:
            x1, y1, x2, y2 = item.bbox
            if x1 < 0 or y1 < 0 or x2 > width or y2 > height:
                raise InputError(
                    f"Boxes must lie inside of the image of {width} x {height} pixels. "
                    f"Received: bbox={item.bbox!r} of {item.name!r} in {self.source}"
                )
            if item.mask is not None and item.mask.shape != (height, width):
                raise InputError(
                    f"Masks must have the image's shape {(height, width)}. "
                    f"Received: {item.mask.shape} of {item.name!r} in {self.source}"
                )
