"""The pickles that RefCOCO, RefCOCO+ and RefCOCOg are published as, made into JSON.

A pickle can run any code when it is read; these hold plain lists and numbers, so all else is
refused.
"""

from __future__ import annotations

import os
import pickle
import uuid
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from ...errors import InputError

__all__ = ["FORMAT", "VERSION", "Expression", "Reference", "References", "convert_refs"]

FORMAT = "superlink-refs"
VERSION = 1


class Expression(msgspec.Struct, frozen=True):
    """One way in which somebody spoke of an object."""

    sent_id: int
    """Its number in the data set."""
    sent: str
    """The words, as they are evaluated: in lower case and without marks."""
    raw: str = ""
    """The words as they were written."""


class Reference(msgspec.Struct, frozen=True):
    """One object that somebody spoke of."""

    ref_id: int
    """Its number in the data set."""
    ann_id: int
    """The annotation of COCO that has its box and its mask."""
    image_id: int
    """The image of COCO."""
    category_id: int
    """The category of COCO."""
    split: str
    """`train`, `val`, `testA` and the like."""
    file_name: str
    """The image, with the annotation behind its name in the published files."""
    sentences: tuple[Expression, ...]
    """What was said of it."""


class References(msgspec.Struct, frozen=True):
    """What `convert_refs` writes."""

    format: str
    """`superlink-refs`."""
    version: int
    """Grows when the form changes."""
    refs: list[msgspec.Raw]
    """Each a `Reference`."""


def convert_refs(source: str | Path, target: str | Path) -> int:
    """Make a published pickle, as `refs(unc).p`, into the JSON that `read_refcoco` reads.

    The JSON is written beside its place and renamed: it is whole, or not there.

    Returns:
        How many references were written.

    Raises:
        InputError: `source` is missing, holds anything but plain lists, text and numbers, or is no
            list of references; `target` exists.
    """
    source, target = Path(source), Path(target)
    if target.exists():
        raise InputError(f"{str(target)!r} exists. Choose another file, or remove it first.")
    content = _load(source)
    try:
        refs = msgspec.convert(content, list[Reference])
    except (msgspec.ValidationError, RecursionError) as error:
        raise InputError(
            "A pickle of references is a list of mappings with ref_id, ann_id, image_id, "
            f"category_id, split, file_name and sentences. Received: {error} in {str(source)!r}"
        ) from error
    if not refs:
        raise InputError(f"There are no references in {str(source)!r}")
    _write(target, msgspec.json.encode({"format": FORMAT, "version": VERSION, "refs": refs}))
    return len(refs)


class _PlainUnpickler(pickle.Unpickler):
    """Makes lists, tuples, mappings, text and numbers; refuses whatever has a name."""

    def find_class(self, module: str, name: str) -> NoReturn:
        """Called for each class and function that a pickle asks for."""
        raise InputError(f"it asks for {module}.{name}")


def _load(path: Path) -> Any:
    """What a pickle of Python 2 or 3 holds."""
    if not path.is_file():
        raise InputError(f"No such file: {str(path)!r}. Check the path.")
    try:
        try:
            return _unpickle(path, "utf-8")
        except UnicodeDecodeError:  # byte strings of Python 2 in the encoding of their author
            return _unpickle(path, "latin-1")
    except Exception as error:  # broken pickles raise almost anything, also MemoryError
        raise InputError(
            "A pickle of references holds plain lists, text and numbers alone; nothing of it was "
            f"run. Received: {error or type(error).__name__} in {str(path)!r}. Get the file from "
            "its authors again."
        ) from error


def _unpickle(path: Path, encoding: str) -> Any:
    with path.open("rb") as file:
        return _PlainUnpickler(file, encoding=encoding).load()


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
