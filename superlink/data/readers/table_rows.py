"""Rows of a table of the `datasets` library as records."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from ...errors import InputError
from ...interfaces.images import open_image
from ..problems import Problems
from ..records import Records
from ..schema import AnnotatedImage, AnnotatedObject, Box, Dialogue
from .coco_entries import cut_box
from .files import refuse_empty
from .llava import ROLES, Turns, dialogue_fault, turns_of
from .table_columns import class_names, feature_at, find_column, rows_of, value_at
from .table_images import TableImages

__all__ = ["BoxForm", "TableDetections", "TableDialogues"]

BoxForm = Literal["xywh", "xyxy"]
"""How four numbers say where a box is."""


class _Fault(ValueError):
    """Why a row cannot be used."""


class _Found(NamedTuple):
    bbox: Box
    name: str
    crowd: bool
    area: float | None


class TableDetections(Records[AnnotatedImage]):
    """The images of a table with their objects, in its order; see `read_table`."""

    def __init__(
        self,
        table: Any,
        source: str,
        columns: Mapping[str, str],
        folder: Path | None,
        classes: Sequence[str] | None,
        boxes: BoxForm,
        problems: Problems,
    ) -> None:
        self.source, self.boxes, self.problems = source, boxes, problems
        self._objects = find_column("objects", table.features, columns, source, needed=False) or ""
        inside = feature_at(table.features, self._objects) if self._objects else table.features
        self._names = {
            what: find_column(what, inside, columns, source, needed=what in ("bbox", "category"))
            for what in ("bbox", "category", "iscrowd", "area")
        }
        image = find_column("image", table.features, columns, source)
        self._images = TableImages(table, image, folder, source)
        roots = (
            [self._objects] if self._objects else [name for name in self._names.values() if name]
        )
        self._part = table.select_columns(sorted({name.partition(".")[0] for name in roots}))
        declared = class_names(feature_at(inside, self._names["category"] or ""))
        self.categories = tuple(classes or declared or self._words())
        self._kept = np.array(list(self._usable()), np.int64)
        refuse_empty(len(self), Path(source), problems, "row")

    def __len__(self) -> int:
        return len(self._kept)

    def record(self, index: int) -> AnnotatedImage:
        """One row.

        Raises:
            InputError: The image cannot be read.
        """
        number = int(self._kept[index])
        (source,) = self._images.of_row(number)
        image = open_image(source)
        objects: list[AnnotatedObject] = []
        ignored: list[AnnotatedObject] = []
        unsure: set[str] = set()
        for item in self._parse(self._part[number]):
            box = cut_box(item.bbox, image.size)
            if box is None or item.crowd:
                unsure.add(item.name)
            if box is not None:
                found = AnnotatedObject(item.name, box, area=item.area)
                (ignored if item.crowd else objects).append(found)
        # A class of which only crowds are left, or boxes left out, is neither here nor absent.
        unsure -= {item.name for item in objects}
        known = tuple(name for name in self.categories if name not in unsure)
        if not known and not ignored:
            # Looked for, and nothing found but boxes without a pixel: as good as absent.
            known = tuple(name for name in self.categories if name in unsure)
        return AnnotatedImage(
            image=source if isinstance(source, Path) else image,
            objects=tuple(objects),
            categories=known,
            key=f"{Path(self.source).name}#{number}",
            size=image.size,
            ignored=tuple(ignored),
        )

    def _usable(self) -> Iterator[int]:
        """Numbers of the rows that can be used; the others become problems."""
        images = self._images.scan()
        for number, row in rows_of(self._part):
            try:
                if images[number].fault:
                    raise _Fault(images[number].fault)
                found = self._parse(row)
            except _Fault as fault:
                self.problems.add(self.source, f"row {number}", str(fault))
                continue
            yield number
            for x1, y1, x2, y2 in (item.bbox for item in found):
                if x1 >= x2 or y1 >= y2:
                    reason = "a box of it has no area"
                    self.problems.add(self.source, f"row {number}", reason, harmless=True)

    def _words(self) -> list[str]:
        """The categories of a table that writes them as words."""
        words = {word for _, row in rows_of(self._part) for word in self._column(row, "category")}
        if numbers := [word for word in words if isinstance(word, int)]:
            raise InputError(
                f"The categories of {self.source!r} are numbers, as {numbers[0]}, and nothing "
                "names them. Give the names: classes=[...] or classes=FILE."
            )
        return sorted(word for word in words if isinstance(word, str) and word.strip())

    def _parse(self, row: Mapping[str, Any]) -> list[_Found]:
        """The objects of a row, not cut at the image.

        Raises:
            _Fault: They do not hold together.
        """
        boxes, categories = self._column(row, "bbox"), self._column(row, "category")
        crowds = self._column(row, "iscrowd") or [False] * len(boxes)
        areas = self._column(row, "area") or [None] * len(boxes)
        if not len(boxes) == len(categories) == len(crowds) == len(areas):
            raise _Fault("its lists of boxes and categories differ in length")
        return [
            _Found(self._corners(box), self._name(category), bool(crowd), area)
            for box, category, crowd, area in zip(boxes, categories, crowds, areas, strict=True)
        ]

    def _column(self, row: Mapping[str, Any], what: str) -> Sequence[Any]:
        """The values of one kind, one for each object of a row; none where there are none."""
        name = self._names[what]
        entries = value_at(row, self._objects) if self._objects else row
        if name is None or entries is None:
            return ()
        if isinstance(entries, Mapping):  # lists beside each other
            values = value_at(entries, name)
            return values if isinstance(values, list) else ()
        return [value_at(entry, name) for entry in entries]

    def _corners(self, box: Any) -> Box:
        if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
            raise _Fault("a box of it is not 4 finite numbers")
        x1, y1, x2, y2 = map(float, box)
        return (x1, y1, x1 + x2, y1 + y2) if self.boxes == "xywh" else (x1, y1, x2, y2)

    def _name(self, category: Any) -> str:
        if isinstance(category, int) and 0 <= category < len(self.categories):
            return self.categories[category]
        if isinstance(category, str) and category in self.categories:
            return category
        raise _Fault("a category of it is none of the classes")


class TableDialogues(Records[Dialogue]):
    """The dialogues of a table, in its order; see `read_table`."""

    def __init__(
        self,
        table: Any,
        source: str,
        columns: Mapping[str, str],
        folder: Path | None,
        problems: Problems,
    ) -> None:
        self.source, self.problems = source, problems
        self._said = find_column("conversations", table.features, columns, source) or ""
        image = find_column("image", table.features, columns, source, needed=False)
        self._images = TableImages(table, image, folder, source)
        self._part = table.select_columns([self._said.partition(".")[0]])
        self._kept = np.array(list(self._usable()), np.int64)
        refuse_empty(len(self), Path(source), problems, "row")

    def __len__(self) -> int:
        return len(self._kept)

    def record(self, index: int) -> Dialogue:
        """One row.

        Raises:
            InputError: An image cannot be decoded.
        """
        number = int(self._kept[index])
        turns = self._turns(self._part[number])
        return Dialogue(turns, self._images.of_row(number), f"{Path(self.source).name}#{number}")

    def _usable(self) -> Iterator[int]:
        images = self._images.scan()
        for number, row in rows_of(self._part):
            try:
                fault = dialogue_fault(self._turns(row), images[number].number)
            except _Fault as error:
                fault = str(error)
            if images[number].missing:
                fault = "an image of it is not in the folder"
            if fault:
                self.problems.add(self.source, f"row {number}", fault)
            else:
                yield number

    def _turns(self, row: Mapping[str, Any]) -> Turns:
        value = value_at(row, self._said)
        said = []
        for turn in value if isinstance(value, list) else ():
            role = turn.get("from") or turn.get("role") if isinstance(turn, Mapping) else None
            text = turn.get("value") or turn.get("content") if role else None
            if role not in ROLES or not isinstance(text, str):
                raise _Fault("a turn of it does not have a known speaker and a text")
            said.append((role, text))
        return turns_of(said)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
