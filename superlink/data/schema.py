"""What readers yield: images, and what is known of them, in a few forms for all tasks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..errors import InputError
from ..interfaces import KeypointSet
from ..interfaces.images import open_image

__all__ = [
    "AnnotatedImage",
    "AnnotatedObject",
    "CaptionedImage",
    "CountedImage",
    "DescribedRegion",
    "Dialogue",
    "EditedImage",
    "ImageRecord",
    "ReferringImage",
]

Box = tuple[float, float, float, float]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class AnnotatedObject:
    """One object of an image."""

    name: str
    """What it is called: one of the categories of its image."""
    bbox: Box
    """(x1, y1, x2, y2) in pixels of the original image, x2 and y2 behind the last pixel."""
    mask: Mask | None = None
    """(H, W), true on the visible pixels of the object."""
    keypoints: npt.NDArray[np.float32] | None = None
    """(K, 3) x, y and visibility as in COCO: 0 not labelled, 1 hidden, 2 visible."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """What else is known of it, for instance its size and its position."""
    area: float | None = None
    """Pixels that it covers, as its data set states them; metrics tell small from large by it."""

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


class ImageRecord:
    """What all records about one image share; subclasses are dataclasses with these fields."""

    image: Image.Image | Path
    """The pixels, or the file that holds them."""
    key: str
    """A stable name of the record."""
    size: tuple[int, int] | None
    """Width and height that the record was annotated at, where it is known."""

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

    def check_inside(self, *objects: AnnotatedObject) -> None:
        """Raise where a box or a mask does not fit an image whose size is known."""
        size = self.image.size if isinstance(self.image, Image.Image) else self.size
        if size is None:
            return
        width, height = size
        for item in objects:
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


@dataclass(frozen=True, eq=False)
class AnnotatedImage(ImageRecord):
    """An image, its objects, and the vocabulary that they are told apart in."""

    image: Image.Image | Path
    """The pixels, or the file that holds them."""
    objects: tuple[AnnotatedObject, ...]
    """The objects; none is fine. Where classes are segmented as a whole, one for each class."""
    categories: tuple[str, ...]
    """Every name that is annotated in this image wherever it occurs: what is not among the objects
    is known to be absent."""
    key: str
    """A stable name of the record."""
    caption: str = ""
    """One sentence on the image; empty where there is none."""
    size: tuple[int, int] | None = None
    """Width and height that the objects were annotated at, where it is known."""
    ignored: tuple[AnnotatedObject, ...] = ()
    """Crowds and regions that nobody annotated one by one: to find them is neither right nor
    wrong."""
    void: Mask | None = None
    """(H, W), true on the pixels of which nothing is known."""
    dataset: str = ""
    """The set that it belongs to, where a reader joins several that are measured apart."""
    synonyms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Other words for a category, where the data set knows them."""
    keypoint_sets: Mapping[str, KeypointSet] = field(default_factory=dict)
    """For each category that has keypoints, which; those of its objects are in this order."""

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
        self.check_inside(*self.objects, *self.ignored)
        for item in self.objects:
            known = self.keypoint_sets.get(item.name)
            if (
                known is not None
                and item.keypoints is not None
                and len(item.keypoints) != len(known)
            ):
                raise InputError(
                    f"A {item.name!r} has the {len(known)} keypoints {known.names}. "
                    f"Received: {len(item.keypoints)} in {self.source}"
                )


@dataclass(frozen=True, eq=False)
class ReferringImage(ImageRecord):
    """An image, and an expression or a question that refers to something in it."""

    image: Image.Image | Path
    """The pixels, or the file that holds them."""
    expression: str
    """What is asked for: `the cup behind the laptop`, or a question."""
    objects: tuple[AnnotatedObject, ...]
    """What it refers to; none where the image shows no such thing."""
    key: str
    """A stable name of the record."""
    size: tuple[int, int] | None = None
    """Width and height that the objects were annotated at, where it is known."""
    void: Mask | None = None
    """(H, W), true on the pixels that may be found or not."""
    is_sentence: bool | None = None
    """Whether the expression is asked as it is; None: where it ends with a question mark."""

    def __post_init__(self) -> None:
        if not self.expression.strip():
            raise InputError(f"An expression must say something. Received: none in {self.source}")
        self.check_inside(*self.objects)


@dataclass(frozen=True, eq=False)
class CaptionedImage(ImageRecord):
    """An image, and a caption of which some parts name objects."""

    image: Image.Image | Path
    """The pixels, or the file that holds them."""
    parts: tuple[tuple[str, tuple[AnnotatedObject, ...]], ...]
    """The caption in pieces that follow each other without a gap: a text, and the objects that it
    names; none where it is just text."""
    key: str
    """A stable name of the record."""
    size: tuple[int, int] | None = None
    """Width and height that the objects were annotated at, where it is known."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """What else is known of it, for instance what it shows and in which colour."""
    other_captions: tuple[str, ...] = ()
    """Further texts that describe the whole image."""

    def __post_init__(self) -> None:
        if not all(map(str.strip, self.captions)):
            raise InputError(f"A caption must say something. Received: none in {self.source}")
        if any(not text.strip() for text, objects in self.parts if objects):
            raise InputError(
                "What names objects must be words. "
                f"Received: {[text for text, _ in self.parts]} in {self.source}"
            )
        self.check_inside(*self.objects)

    @property
    def caption(self) -> str:
        """The whole text."""
        return "".join(text for text, _ in self.parts)

    @property
    def captions(self) -> tuple[str, ...]:
        """The caption, and the others."""
        return (self.caption, *self.other_captions)

    @property
    def objects(self) -> tuple[AnnotatedObject, ...]:
        """The objects that the caption names, in its order."""
        return tuple(item for _, objects in self.parts for item in objects)


@dataclass(frozen=True, eq=False)
class CountedImage(ImageRecord):
    """An image, and how many of one kind it shows."""

    image: Image.Image | Path
    """The pixels, or the file that holds them."""
    name: str
    """What is counted."""
    count: int
    """How many there are."""
    key: str
    """A stable name of the record."""
    objects: tuple[AnnotatedObject, ...] = ()
    """Those of them that have boxes; data sets of crowds have none, or a few examples."""
    size: tuple[int, int] | None = None
    """Width and height that the objects were annotated at, where it is known."""

    def __post_init__(self) -> None:
        if not self.name.strip() or self.count < 0:
            raise InputError(
                "A count is of something, and at least 0. "
                f"Received: name={self.name!r}, count={self.count} in {self.source}"
            )
        self.check_inside(*self.objects)


@dataclass(frozen=True, eq=False)
class DescribedRegion(ImageRecord):
    """An image, and something in it with its descriptions."""

    image: Image.Image | Path
    """The pixels, or the file that holds them."""
    marked: AnnotatedObject
    """What is described, by its box or its mask."""
    descriptions: tuple[str, ...]
    """One or more texts, each of which describes it."""
    key: str
    """A stable name of the record."""
    size: tuple[int, int] | None = None
    """Width and height that it was annotated at, where it is known."""

    def __post_init__(self) -> None:
        if not self.descriptions or not all(map(str.strip, self.descriptions)):
            raise InputError(
                "A region needs a description, and each must say something. "
                f"Received: {self.descriptions!r} in {self.source}"
            )
        self.check_inside(self.marked)


@dataclass(frozen=True, eq=False)
class EditedImage(ImageRecord):
    """An image, an instruction to change it, and what it looks like afterwards."""

    image: Image.Image | Path
    """The pixels before, or the file that holds them."""
    instruction: str
    """What shall be changed: `remove the dog`."""
    edited: Image.Image | Path
    """The pixels afterwards, or the file that holds them."""
    key: str
    """A stable name of the record."""
    size: tuple[int, int] | None = None
    """Width and height of the image, where it is known."""
    changed: Mask | None = None
    """(H, W), true on the pixels that the edit may change, where they are known."""
    captions: tuple[str, str] | None = None
    """What the image shows before and afterwards, where somebody wrote it down."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """What else is known of it, for instance the kind of the edit."""

    def __post_init__(self) -> None:
        if not self.instruction.strip():
            raise InputError(f"An instruction must say something. Received: none in {self.source}")
        size = self.image.size if isinstance(self.image, Image.Image) else self.size
        if self.changed is not None and size is not None and self.changed.shape != size[::-1]:
            raise InputError(
                f"The changed pixels must have the image's shape {size[::-1]}. "
                f"Received: {self.changed.shape} in {self.source}"
            )

    def open_edited(self) -> Image.Image:
        """The image afterwards, in RGB.

        Raises:
            InputError: It cannot be read.
        """
        return open_image(self.edited)


@dataclass(frozen=True)
class Dialogue:
    """A conversation that was written down, with its images."""

    turns: tuple[tuple[Literal["system", "user", "assistant"], str], ...]
    """Who says what. `<image>` marks the place of the next image, and is found in `user` turns."""
    images: tuple[Path | Image.Image, ...]
    """The images, in the order of their marks."""
    key: str
    """A stable name of the record."""

    def __post_init__(self) -> None:
        marks = sum(text.count("<image>") for _, text in self.turns)
        if marks != len(self.images):
            raise InputError(
                "A dialogue needs one image for each <image> in it. "
                f"Received: {marks} marks and {len(self.images)} images in {self.key!r}"
            )
