"""Reading VCR: questions on people and things in film stills, with answers and reasons."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, TypeVar, get_args

import msgspec

from ...errors import ConfigError, InputError
from ...interfaces.images import MAX_PIXELS
from ..problems import BrokenPolicy, Problems
from ..questions import RegionQuestion, Words
from ..records import Records
from ..rle import decode_segmentation
from ..schema import AnnotatedObject, Mask
from .coco_entries import cut_box
from .files import (
    DECODE_ERRORS,
    RawColumn,
    decode_fault,
    present_files,
    read_json,
    read_lines,
    refuse_empty,
)

__all__ = ["VcrDataset", "read_vcr"]

T = TypeVar("T")
Step = Literal["answer", "rationale"]
Steps = Literal["both", "answer", "rationale"]
Tokens = list[str | list[int]]
_NO_BLANK = re.compile(r"[.,!?;:%)\]]+|['\u2019]\w*|n['\u2019]t", re.IGNORECASE)
"""Tokens that stand right behind the one before them."""


def read_vcr(
    annotations: str | Path,
    images: str | Path,
    *,
    steps: Steps = "both",
    masks: bool = False,
    broken: BrokenPolicy = "error",
) -> VcrDataset:
    """Read train.jsonl or val.jsonl of VCR: first the answer of each question, then its reason.

    Regions come from the JSON files of metadata, which lie beside the images and are read with
    their record. The questions of the test set are without labels: they are broken.

    Args:
        annotations: The file of questions, one a line.
        images: The folder that `img_fn` and `metadata_fn` are relative to, vcr1images.
        steps: `both`, or one of `answer` and `rationale` alone.
        masks: Whether to decode the outlines, which needs pycocotools; else regions are boxes.
        broken: What to do with a question that cannot be used: `error` raises, `skip` leaves it
            out and counts it.

    Raises:
        ConfigError: There are no such steps.
        InputError: The file or the folder is missing, or holds no question.
    """
    if steps not in get_args(Steps):
        raise ConfigError(f"steps is one of {get_args(Steps)}. Received: {steps!r}")
    wanted: tuple[Step, ...] = ("answer", "rationale") if steps == "both" else (steps,)
    return VcrDataset(Path(annotations), Path(images), wanted, Problems(broken), masks=masks)


class _Row(msgspec.Struct, frozen=True):
    objects: list[str]
    img_fn: str
    metadata_fn: str
    question: Tokens
    answer_choices: list[Tokens]
    answer_label: int | None = None
    rationale_choices: list[Tokens] = []
    rationale_label: int | None = None
    annot_id: str | None = None

    def choices(self, step: Step) -> tuple[list[Tokens], int | None]:
        """The choices of a step, and which is right."""
        if step == "answer":
            return self.answer_choices, self.answer_label
        return self.rationale_choices, self.rationale_label

    def texts(self, steps: Sequence[Step]) -> list[Tokens]:
        """All that the steps speak of."""
        return [self.question, *self.answer_choices, *_all(self.choices(s)[0] for s in steps)]

    def fault(self, steps: Sequence[Step]) -> str:
        """Why it cannot be used; empty where it can."""
        if not self.question:
            return "it asks nothing"
        for step in dict.fromkeys(("answer", *steps)):  # a reason is that of the right answer
            choices, label = self.choices(step)
            if label is None:
                return f"it has no {step}_label, as those of the test set"
            if not 2 <= len(choices) <= 26 or not 0 <= label < len(choices):
                return f"its {step}_label is none of its {step}_choices, from 2 to 26"
        if not all(0 <= index < len(self.objects) for index in _mentioned(self.texts(steps))):
            return "it speaks of an object that it does not have"
        return ""


class _Metadata(msgspec.Struct, frozen=True):
    boxes: list[list[float]]
    width: int
    height: int
    segms: list[msgspec.Raw] = []


class VcrDataset(Records[RegionQuestion]):
    """The steps of all questions, in the order of the file; see `read_vcr`."""

    def __init__(
        self, path: Path, folder: Path, steps: Sequence[Step], problems: Problems, *, masks: bool
    ) -> None:
        self.path, self.folder, self.problems = path, folder, problems
        self.steps, self.masks = tuple(steps), masks
        numbers, rows, files = [], [], []
        for number, row in read_lines(path, _Row, problems):
            if fault := row.fault(self.steps):
                problems.add(path, f"line {number}", fault)
            else:
                numbers.append(number)
                files.append((row.img_fn, row.metadata_fn))
                # The text alone is kept, without what is not used: objects would cost ten times it.
                rows.append(msgspec.Raw(msgspec.json.encode(row)))
        present = present_files(folder, _all(files)) if files else set()
        kept = [*self._keep_present(numbers, files, present)]
        self._numbers = [numbers[i] for i in kept]
        self._rows = RawColumn([rows[i] for i in kept])
        refuse_empty(len(self), path, problems, "question")

    def __len__(self) -> int:
        return len(self._numbers) * len(self.steps)

    def record(self, index: int) -> RegionQuestion:
        """One step of a question.

        Raises:
            InputError: The metadata of its image cannot be read, or does not fit the question.
            MissingDependencyError: Outlines need pycocotools.
        """
        number, step = self._numbers[index // len(self.steps)], self.steps[index % len(self.steps)]
        row = msgspec.json.decode(self._rows[index // len(self.steps)], type=_Row)
        choices, label = row.choices(step)
        given = row.answer_choices[row.answer_label or 0] if step == "rationale" else []
        used = [*dict.fromkeys(_mentioned([row.question, given, *choices]))]
        name = row.annot_id or f"{self.path.name}#{number}"
        metadata = self._metadata(row, number)
        return RegionQuestion(
            image=self.folder / row.img_fn,
            question=_words(row.question, used),
            choices=tuple(_words(choice, used) for choice in choices),
            correct=label or 0,
            objects=tuple(self._object(row, metadata, i, number) for i in used),
            key=f"{name}/{step}",
            size=(metadata.width, metadata.height),
            step=step,
            given=_words(given, used),
            group=name,
        )

    def _keep_present(
        self, numbers: Sequence[int], files: Sequence[tuple[str, str]], present: set[str]
    ) -> Iterator[int]:
        for index, (number, names) in enumerate(zip(numbers, files, strict=True)):
            if present.issuperset(names):
                yield index
            else:
                what = "metadata" if names[0] in present else "image"
                reason = f"its {what} is not in the folder {self.folder}"
                self.problems.add(self.path, f"line {number}", reason)

    def _metadata(self, row: _Row, number: int) -> _Metadata:
        path = self.folder / row.metadata_fn
        found = read_json(path, _Metadata, "file of VCR's metadata")
        if min(found.width, found.height) < 1 or found.width * found.height > MAX_PIXELS:
            raise InputError(
                f"The width and height of an image are from 1 on, and {MAX_PIXELS} pixels at most. "
                f"Received: {found.width} x {found.height} in {str(path)!r}"
            )
        outlines = len(found.segms) if self.masks else len(found.boxes)
        if not len(row.objects) == len(found.boxes) == outlines:
            raise InputError(
                f"line {number} in {self.path} has {len(row.objects)} objects. Received: "
                f"{len(found.boxes)} boxes and {len(found.segms)} outlines in {str(path)!r}. The "
                "files belong to other versions, or one is damaged."
            )
        return found

    def _object(self, row: _Row, metadata: _Metadata, index: int, number: int) -> AnnotatedObject:
        size = (metadata.width, metadata.height)
        where = f"line {number} in {self.path}: object {index} of {row.metadata_fn}"
        corners = metadata.boxes[index][:4]
        box = cut_box(corners, size) if len(corners) == 4 else None
        if box is None or not row.objects[index].strip():
            raise InputError(
                f"{where} needs a name, and a box inside of the image of {size[0]} x {size[1]} "
                f"pixels. Received: {row.objects[index]!r}, {corners}"
            )
        mask = _mask(metadata.segms[index], size, where) if self.masks else None
        return AnnotatedObject(row.objects[index], box, mask)


def _mask(outlines: msgspec.Raw, size: tuple[int, int], where: str) -> Mask | None:
    """The mask (H, W) of an object; None where it has no outline with a pixel inside."""
    try:
        polygons = msgspec.json.decode(outlines, type=list[list[tuple[float, float]]])
        flat = [[*_all(points)] for points in polygons if len(points) > 2]
        mask = decode_segmentation(flat, size[1], size[0]) if flat else None
    except (*DECODE_ERRORS, InputError) as error:
        fault = str(error) if isinstance(error, InputError) else decode_fault(error)
        raise InputError(f"{where} has an outline that cannot be drawn: {fault}") from error
    return mask if mask is not None and mask.any() else None


def _all(lists: Iterable[Iterable[T]]) -> list[T]:
    return [item for items in lists for item in items]


def _mentioned(texts: Sequence[Tokens]) -> Iterator[int]:
    """Indices of the objects that texts speak of, in order."""
    for token in _all(texts):
        if isinstance(token, list):
            yield from token


def _words(tokens: Tokens, used: Sequence[int]) -> Words:
    """Tokens as a text in pieces; indices become those into `used`."""
    pieces: list[str | int] = []
    for position, token in enumerate(tokens):
        text = token if isinstance(token, str) else ""
        blank = " " if position and not _NO_BLANK.fullmatch(text) else ""
        if isinstance(token, str):
            pieces.append(blank + token)
            continue
        for place, index in enumerate(token):
            pieces.append(blank if not place else " and " if index == token[-1] else ", ")
            pieces.append(used.index(index))
    return _joined(pieces)


def _joined(pieces: Sequence[str | int]) -> Words:
    """Pieces with neighbouring texts as one, and without empty ones."""
    joined: list[str | int] = []
    for piece in pieces:
        last = joined[-1] if joined else 0
        if isinstance(piece, str) and isinstance(last, str):
            joined[-1] = last + piece
        elif piece != "":
            joined.append(piece)
    return tuple(joined)
