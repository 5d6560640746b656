"""Reading ReasonSeg: questions that must be thought about, each with a mask as its answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from PIL import Image, ImageDraw

from ...errors import ConfigError
from ...interfaces.images import open_image
from ..masks import mask_box
from ..problems import BrokenPolicy, Problems
from ..records import Records
from ..schema import AnnotatedObject, Mask, ReferringImage
from .files import DECODE_ERRORS, decode_fault, read_file, refuse_empty
from .pairs import IMAGE_SUFFIXES, files_by_name

__all__ = ["ReasonSegDataset", "read_reason_seg"]

_VOID, _TARGET = 1, 2


def read_reason_seg(
    images: str | Path,
    *,
    texts: Literal["all", "first"] = "all",
    broken: BrokenPolicy = "error",
) -> ReasonSegDataset:
    """Read a folder of ReasonSeg, in which `x.json` stands beside `x.jpg`: a record for each text.

    The target is the union of all polygons but those whose label says `ignore`, which become
    `void`, and `flag`, which mean nothing. Where polygons overlap, the smaller one counts.

    Args:
        images: The folder of a split, as ReasonSeg/val.
        texts: Whether all texts of an image become records, or its first one alone.
        broken: What to do with an image or a JSON file without the other, or with broken content:
            `error` raises, `skip` leaves it out and counts it.

    Raises:
        InputError: The folder is missing or holds nothing to read; a file is broken under `error`.
    """
    if texts not in ("all", "first"):
        raise ConfigError(f"texts is 'all' or 'first'. Received: texts={texts!r}")
    return ReasonSegDataset(Path(images), texts == "first", Problems(broken))


class ReasonSegDataset(Records[ReferringImage]):
    """The texts of a folder, by the name of their file; see `read_reason_seg`."""

    def __init__(self, folder: Path, first_alone: bool, problems: Problems) -> None:
        self.folder, self.problems = folder, problems
        images = files_by_name(folder, IMAGE_SUFFIXES, problems)
        notes = files_by_name(folder, (".json",), problems, "JSON file")
        for name in sorted(images.keys() ^ notes.keys()):
            kind = "image" if name in images else "JSON file"
            other = "no JSON file" if name in images else "no image"
            problems.add(folder, f"{kind} {name}", f"{other} beside it has its name")
        self._notes = [
            (images[name], note)
            for name in sorted(images.keys() & notes.keys())
            if (note := _read_note(folder / notes[name], problems)) is not None
        ]
        self._texts = [
            (owner, which)
            for owner, (_, note) in enumerate(self._notes)
            for which in range(1 if first_alone else len(note.texts))
        ]
        refuse_empty(len(self), folder, problems, "text")

    def __len__(self) -> int:
        return len(self._texts)

    def record(self, index: int) -> ReferringImage:
        """One text with its mask.

        Raises:
            InputError: The image cannot be read.
        """
        owner, which = self._texts[index]
        name, note = self._notes[owner]
        # The size of the masks is that of the image, and written nowhere else.
        image = open_image(self.folder / name)
        drawn = _draw(note.shapes, image.size)
        mask: Mask = drawn == _TARGET
        void: Mask = drawn == _VOID
        found = (AnnotatedObject("target", mask_box(mask), mask),) if mask.any() else ()
        return ReferringImage(
            image=image,
            expression=note.texts[which],
            objects=found,
            key=f"{name}#{which}",
            size=image.size,
            is_sentence=note.is_sentence,
            void=void if void.any() else None,
        )


class _Shape(msgspec.Struct, frozen=True):
    label: str
    points: list[tuple[float, float]]

    @property
    def is_meant(self) -> bool:
        """Whether it says something of the mask; a flag does not, whatever its points."""
        return self.label.strip().lower() != "flag"


class _Note(msgspec.Struct, frozen=True):
    text: str | list[str]
    shapes: list[_Shape]
    is_sentence: bool | None = None

    @property
    def texts(self) -> list[str]:
        return [self.text] if isinstance(self.text, str) else self.text


def _read_note(path: Path, problems: Problems) -> _Note | None:
    """The content of one JSON file, or None where it became a problem."""
    data = read_file(path)
    try:
        data.decode()
    except UnicodeDecodeError:  # some were written on Windows
        data = data.decode("cp1252", "replace").encode()
    try:
        note = msgspec.json.decode(data, type=_Note)
    except DECODE_ERRORS as error:
        problems.add(path, "the whole", decode_fault(error))
        return None
    if not note.texts or not all(text.strip() for text in note.texts):
        problems.add(path, "text", "there is none, or it is empty")
    elif any(len(shape.points) < 3 for shape in note.shapes if shape.is_meant):
        problems.add(path, "shapes", "a polygon has fewer than 3 points")
    else:
        return note
    return None


def _draw(
    shapes: Sequence[_Shape], size: tuple[int, int]
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Polygons as numbers (H, W), the largest drawn first."""
    canvas = Image.new("L", size)
    draw = ImageDraw.Draw(canvas)
    meant = [shape for shape in shapes if shape.is_meant]
    for shape in sorted(meant, key=_area, reverse=True):
        value = _VOID if "ignore" in shape.label.lower() else _TARGET
        draw.polygon(shape.points, fill=value, outline=value)
    return np.asarray(canvas)


def _area(shape: _Shape) -> float:
    """Of a polygon, by the shoelace formula."""
    x, y = np.array(shape.points).T
    return float(abs(x @ np.roll(y, 1) - y @ np.roll(x, 1))) / 2
