"""Reading FSC-147: how many of one kind an image shows, each marked by a point."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from ...errors import InputError
from ..problems import BrokenPolicy, Problems
from ..records import Records
from ..schema import AnnotatedObject, CountedImage
from .files import DECODE_ERRORS, decode_fault, keep_present, read_file, read_json, refuse_empty

__all__ = ["Fsc147Dataset", "read_fsc147"]


def read_fsc147(
    annotations: str | Path,
    images: str | Path,
    *,
    split_file: str | Path | None = None,
    split: str = "test",
    classes: str | Path | None = None,
    broken: BrokenPolicy = "error",
) -> Fsc147Dataset:
    """Read FSC-147, one record for each image.

    Args:
        annotations: annotation_FSC147_384.json.
        images: The folder images_384_VarV2.
        split_file: Train_Test_Val_FSC_147.json; without it all images are read.
        split: `train`, `val` or `test`, of `split_file`.
        classes: ImageClasses_FSC147.txt, which says what is counted; without it all is `objects`.
        broken: What to do with an image that cannot be used: `error` raises, `skip` leaves it out
            and counts it.

    Raises:
        InputError: A file is missing or something else, an image is broken under `error`, or the
            split is not there.
    """
    path, problems = Path(annotations), Problems(broken)
    names = None if classes is None else _read_names(Path(classes))
    chosen = None if split_file is None else _read_split(Path(split_file), split)
    return Fsc147Dataset(path, Path(images), chosen, names, problems)


class _Entry(msgspec.Struct, frozen=True):
    points: list[tuple[float, float]]
    box_examples_coordinates: list[list[tuple[float, float]]] = []


class Fsc147Dataset(Records[CountedImage]):
    """The images of one split, in its order; see `read_fsc147`."""

    def __init__(
        self,
        path: Path,
        folder: Path,
        chosen: list[str] | None,
        names: Mapping[str, str] | None,
        problems: Problems,
    ) -> None:
        self.folder, self.problems = folder, problems
        content = read_json(path, dict[str, msgspec.Raw], "file of FSC-147")
        found = []
        for file in content if chosen is None else chosen:
            entry = _read_entry(path, file, content, problems)
            if entry is not None and names is not None and file not in names:
                problems.add(path, f"image {file}", "the file of classes does not name it")
            elif entry is not None:
                name = "objects" if names is None else names[file]
                found.append((file, name, len(entry.points), _examples(entry)))
        kept = keep_present(path, folder, [file for file, *_ in found], problems)
        self._found = [found[i] for i in kept]
        refuse_empty(len(self), path, problems)

    def __len__(self) -> int:
        return len(self._found)

    def record(self, index: int) -> CountedImage:
        """One image with its count; its `objects` are the few examples that have boxes."""
        file, name, count, examples = self._found[index]
        return CountedImage(
            image=self.folder / file,
            name=name,
            count=count,
            key=file,
            objects=tuple(AnnotatedObject(name, box) for box in examples),
        )


Box = tuple[float, float, float, float]


def _examples(entry: _Entry) -> tuple[Box, ...]:
    """The boxes around the corners of each example; those without an area are left out."""
    boxes = []
    for corners in entry.box_examples_coordinates:
        xs, ys = [max(0.0, x) for x, _ in corners], [max(0.0, y) for _, y in corners]
        if corners and min(xs) < max(xs) and min(ys) < max(ys):
            boxes.append((min(xs), min(ys), max(xs), max(ys)))
    return tuple(boxes)


def _read_entry(
    path: Path, file: str, content: Mapping[str, msgspec.Raw], problems: Problems
) -> _Entry | None:
    if file not in content:
        problems.add(path, f"image {file}", "the split names it, and it has no annotation")
        return None
    try:
        return msgspec.json.decode(content[file], type=_Entry)
    except DECODE_ERRORS as error:
        problems.add(path, f"image {file}", decode_fault(error))
        return None


def _read_split(path: Path, split: str) -> list[str]:
    splits = read_json(path, dict[str, list[str]], "file of splits")
    if split not in splits:
        raise InputError(f"{str(path)!r} has no split {split!r}. Choose from {sorted(splits)}")
    return splits[split]


def _read_names(path: Path) -> dict[str, str]:
    """File name to class, of lines with a tab between them."""
    lines = read_file(path).decode("utf-8", "replace").splitlines()
    pairs = [line.partition("\t") for line in lines if line.strip()]
    if wrong := [file for file, _, name in pairs if not name.strip()]:
        raise InputError(
            "A line of classes is a file name, a tab and a class. "
            f"Received: {wrong[0]!r} in {str(path)!r}"
        )
    return {file.strip(): name.strip() for file, _, name in pairs}
