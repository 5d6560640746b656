"""What a set of records holds, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from PIL import Image

from ..data import (
    AnnotatedImage,
    AnnotatedObject,
    CaptionedImage,
    CountedImage,
    Dialogue,
    EditedImage,
    InContextImages,
    ReferringImage,
    RegionQuestion,
)
from ..data.schema import ImageRecord
from .validation import Finding, read_record

__all__ = ["Counts", "Spread", "count_records", "rows_of"]

SMALL, MEDIUM = 32**2, 96**2
"""Areas in pixels from which on COCO calls an object medium and large."""

_WithObjects = AnnotatedImage | CaptionedImage | CountedImage | ReferringImage


@dataclass(frozen=True)
class Spread:
    """Where a number lies over all records."""

    least: float
    """The smallest value."""
    median: float
    """The value in the middle."""
    most: float
    """The largest value."""

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of at least one value."""
        return cls(min(values), median(values), max(values))

    def __str__(self) -> str:
        return f"{self.least:g} to {self.most:g}, median {self.median:g}"


@dataclass
class Counts:
    """What was found in the records that could be read."""

    records: int = 0
    """Records."""
    numbers: Counter[str] = field(default_factory=Counter)
    """How often there is what, by its name: `images`, `objects`, `masks`, ..."""
    classes: Counter[str] = field(default_factory=Counter)
    """Objects, or what is counted in pictures, by class; a class that never occurs has 0."""
    spreads: dict[str, Spread] = field(default_factory=dict)
    """Of `image width`, `image height`, and `objects per record`."""
    broken: list[Finding] = field(default_factory=list)
    """The records that could not be read."""

    def to_json(self) -> dict[str, Any]:
        """All of it in plain JSON types."""
        spreads = {
            name: {"min": spread.least, "median": spread.median, "max": spread.most}
            for name, spread in self.spreads.items()
        }
        return {
            "records": self.records,
            **self.numbers,
            **{name.replace(" ", "_"): value for name, value in spreads.items()},
            "classes": dict(self.classes.most_common()),
            "broken": [finding.to_json() for finding in self.broken],
        }


def count_records(records: Sequence[Any], indices: Iterable[int], source: str = "") -> Counts:
    """Read records, not their images, and count what they hold.

    Args:
        records: What a reader returned.
        indices: Which of them.
        source: How a record that cannot be read calls the set that it is of.
    """
    counting = _Counting()
    for index in indices:
        record = read_record(records, index, source)
        if isinstance(record, Finding):
            counting.counts.broken.append(record)
        else:
            counting.add(record)
    return counting.finish()


class _Counting:
    """Adds record after record."""

    def __init__(self) -> None:
        self.counts = Counts()
        self._files: set[str] = set()
        self._values: dict[str, list[float]] = {}

    def add(self, record: Any) -> None:
        self.counts.records += 1
        if isinstance(record, ImageRecord):
            self._add_image(record)
        if isinstance(record, _WithObjects) and not _is_bare(record):
            self._add_objects(record)
        if isinstance(record, AnnotatedImage):
            self._add_annotations(record)
        elif isinstance(record, ReferringImage):
            self.counts.numbers["expressions"] += 1
        elif isinstance(record, CaptionedImage):
            self.counts.numbers["captions"] += len(record.captions)
            self.counts.classes.update(item.name for item in record.objects)
        elif isinstance(record, CountedImage):
            self.counts.classes[record.name] += record.count
            self.counts.numbers["counted"] += record.count
        elif isinstance(record, EditedImage):
            self.counts.numbers["edits"] += 1
            self._add_source(record.edited)
        elif isinstance(record, RegionQuestion):
            self.counts.numbers["questions"] += 1
        elif isinstance(record, InContextImages):
            for image in record.images:
                self._add_image(image)
        elif isinstance(record, Dialogue):
            self._add_dialogue(record)

    def finish(self) -> Counts:
        if self._files:
            self.counts.numbers["images"] += len(self._files)
        spreads = {name: Spread.of(values) for name, values in self._values.items() if values}
        self.counts.spreads = spreads
        return self.counts

    def _add_source(self, image: Image.Image | Path) -> None:
        """Count an image: a file once, however many records speak of it."""
        if isinstance(image, Path):
            self._files.add(str(image))
        else:
            self.counts.numbers["images"] += 1

    def _add_image(self, record: ImageRecord) -> None:
        self._add_source(record.image)
        known = record.image.size if isinstance(record.image, Image.Image) else record.size
        for side, value in zip(("width", "height"), known or (), strict=False):
            self._values.setdefault(f"image {side}", []).append(value)

    def _add_objects(self, record: _WithObjects) -> None:
        numbers, objects = self.counts.numbers, record.objects
        self._values.setdefault("objects per record", []).append(len(objects))
        numbers["objects"] += len(objects)
        numbers["without_objects"] += not objects
        for item in objects:
            numbers[_size_class(item)] += 1
            numbers["masks"] += item.mask is not None
            numbers["keypoints"] += item.keypoints is not None

    def _add_annotations(self, record: AnnotatedImage) -> None:
        numbers = self.counts.numbers
        self.counts.classes.update(dict.fromkeys(record.categories, 0))
        self.counts.classes.update(item.name for item in record.objects)
        numbers["ignored"] += len(record.ignored)
        numbers["with_void"] += record.void is not None
        numbers["captions"] += bool(record.caption)

    def _add_dialogue(self, record: Dialogue) -> None:
        self.counts.numbers["turns"] += len(record.turns)
        self.counts.numbers["without_images"] += not record.images
        self._values.setdefault("turns per record", []).append(len(record.turns))
        for image in record.images:
            self._add_source(image)


def _is_bare(record: Any) -> bool:
    """Whether a record is a caption that names no objects, as those that pictures are made of."""
    return isinstance(record, CaptionedImage) and not record.objects


def _size_class(item: AnnotatedObject) -> str:
    """Small, medium or large, by the area that the data set states, else of the mask or box."""
    x1, y1, x2, y2 = item.bbox
    area = item.area
    if area is None:
        area = (x2 - x1) * (y2 - y1) if item.mask is None else float(item.mask.sum())
    return "small" if area < SMALL else "medium" if area < MEDIUM else "large"


def rows_of(counts: Counts) -> Iterator[tuple[str, str]]:
    """The counts as lines of a table, those without a meaning for these records left out."""
    numbers = counts.numbers
    yield "records", f"{counts.records:,}"
    yield from ((name, f"{numbers[key]:,}") for key, name in _ROWS.items() if numbers[key])
    if sizes := [f"{numbers[size]:,} {size}" for size in ("small", "medium", "large")]:
        if numbers["objects"]:
            yield "object sizes", ", ".join(sizes)
    yield from ((name, str(spread)) for name, spread in counts.spreads.items())
    if counts.classes:
        seen = sum(count > 0 for count in counts.classes.values())
        yield "classes", f"{len(counts.classes):,}, {seen:,} of them with objects"
    if counts.broken:
        yield "records that cannot be read", f"{len(counts.broken):,}"


_ROWS = {
    "images": "images",
    "objects": "objects",
    "without_objects": "records without objects",
    "ignored": "ignored regions",
    "masks": "objects with a mask",
    "keypoints": "objects with keypoints",
    "with_void": "records with pixels of which nothing is known",
    "captions": "captions",
    "counted": "things counted",
    "edits": "edits",
    "expressions": "expressions",
    "questions": "questions on regions",
    "turns": "turns",
    "without_images": "records without images",
}
