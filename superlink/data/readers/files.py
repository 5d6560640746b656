"""What all readers do with files: JSON decoded with errors that say where, and images found."""

from __future__ import annotations

import errno
import os
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from ...errors import InputError
from ..problems import Problems

__all__ = [
    "DECODE_ERRORS",
    "RawColumn",
    "decode_fault",
    "keep_present",
    "present_files",
    "read_file",
    "read_items",
    "read_json",
    "read_lines",
    "refuse_empty",
]

T = TypeVar("T")
Item = TypeVar("Item", msgspec.Raw, bytes)

DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""All that msgspec raises of bytes that it cannot decode."""


def read_file(path: Path) -> bytes:
    """The bytes of a file of annotations, without a byte order mark.

    Raises:
        InputError: The file is missing, is a folder, or cannot be read.
    """
    if not path.is_file():
        raise InputError(f"No such annotation file: {str(path)!r}. Check the path.")
    try:
        return path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read: {error}") from error


def read_json(path: Path, type: type[T], what: str) -> T:
    """Decode a JSON file into a type of msgspec.

    Args:
        path: The file.
        type: What it must hold. `msgspec.Raw` parts are decoded later, see `read_items`.
        what: What the file should be, for errors, as `COCO file`.

    Raises:
        InputError: The file is missing, is cut short or malformed, or holds something else.
    """
    data = read_file(path)
    try:
        return msgspec.json.decode(data, type=type)
    except DECODE_ERRORS as error:
        fault = decode_fault(error)
        if str(error).endswith("truncated"):
            fault = f"it is cut short after {len(data)} bytes"
        raise InputError(
            f"{path.name} is no usable {what}: {fault}. "
            f"Repair it, or get it again. File: {str(path)!r}"
        ) from error


def read_items(
    path: Path,
    raw: Sequence[msgspec.Raw],
    type: type[T],
    name: str,
    problems: Problems,
    *,
    left_out: Callable[[msgspec.Raw], object] | None = None,
) -> Iterator[tuple[int, T]]:
    """Decode items one by one; those that are broken become problems.

    Args:
        path: The file that they stand in, for errors.
        raw: The items.
        type: What each must be.
        name: The list that they stand in: item 3 of `images` is called `images[3]`.
        problems: Takes in what cannot be decoded.
        left_out: Called with each item that is left out, where something of it is of use.

    Yields:
        The index in `raw` and the item.
    """
    return _decoded(path, enumerate(raw), type, f"{name}[{{}}]", problems, left_out)


def read_lines(path: Path, type: type[T], problems: Problems) -> Iterator[tuple[int, T]]:
    """Decode a file of one JSON value a line; lines that are broken become problems.

    Yields:
        The number of the line, from 1, and its value. Empty lines are passed over.

    Raises:
        InputError: The file is missing or cannot be read.
    """
    lines = enumerate(read_file(path).splitlines(), 1)
    filled = ((number, line) for number, line in lines if line.strip())
    return _decoded(path, filled, type, "line {}", problems)


def _decoded(
    path: Path,
    items: Iterable[tuple[int, Item]],
    type: type[T],
    pattern: str,
    problems: Problems,
    left_out: Callable[[Item], object] | None = None,
) -> Iterator[tuple[int, T]]:
    decode = msgspec.json.Decoder(type).decode
    for number, item in items:
        try:
            value = decode(item)
        except DECODE_ERRORS as error:
            problems.add(path, pattern.format(number), decode_fault(error))
            if left_out is not None:
                left_out(item)
        else:
            yield number, value


def decode_fault(error: Exception) -> str:
    """What one of `DECODE_ERRORS` says, in the same words for the same kind of fault."""
    if isinstance(error, msgspec.ValidationError):
        # "Expected `float`, got `str` - at `$.bbox[2]`": which of them does not matter
        return "its structure is wrong: " + re.sub(r"\[\d+\]", "[...]", str(error))
    if isinstance(error, UnicodeDecodeError):
        return f"it is no UTF-8: {error.reason}"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return f"it is no JSON: {error}"


class RawColumn:
    """JSON values of many items, kept as one text until they are asked for.

    Args:
        values: One for each item, in their order; nothing (`b""`) where it has none.
    """

    def __init__(self, values: Iterable[msgspec.Raw | bytes] = ()) -> None:
        self._text = bytearray()
        self._ends = array("q", [0])  # of item i at i + 1
        for value in values:
            self.append(value)

    def append(self, value: msgspec.Raw | bytes) -> None:
        """Take in the value of the next item."""
        self._text += memoryview(value)
        self._ends.append(len(self._text))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: int) -> bytes:
        return bytes(self._text[self._ends[index] : self._ends[index + 1]])


def present_files(folder: Path, names: Iterable[str]) -> set[str]:
    """Which of `names`, relative to `folder`, are files.

    Each folder is listed once: on a disk behind a network, to ask for each file takes far longer.

    Raises:
        InputError: There is no such folder, or it cannot be listed.
    """
    if not folder.is_dir():
        raise InputError(f"No such folder of images: {str(folder)!r}. Check the path.")
    by_parent: dict[str, list[tuple[str, str]]] = {}
    for name in set(names):
        parent, last = os.path.split(name)
        by_parent.setdefault(parent, []).append((last, name))
    return {
        name
        for parent, pairs in by_parent.items()
        for listed in [_list_files(folder / parent)]
        for last, name in pairs
        if last in listed
    }


def _list_files(folder: Path) -> set[str]:
    """Names of what is in a folder and is no folder; none where it is not there."""
    try:
        with os.scandir(folder) as entries:
            # Links are not followed: that would ask for each file after all.
            return {entry.name for entry in entries if not entry.is_dir(follow_symlinks=False)}
    except (FileNotFoundError, NotADirectoryError, ValueError):  # or a name that none can have
        return set()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return set()
        raise InputError(f"The folder {str(folder)!r} cannot be listed: {error}") from error


def keep_present(
    path: Path,
    folder: Path,
    names: Sequence[str],
    problems: Problems,
    items: Sequence[str] | None = None,
) -> list[int]:
    """Which images are in their folder; the others become problems.

    Args:
        path: The file of annotations that names them, for errors.
        folder: The folder that `names` are relative to.
        names: One for each item; a name may occur again.
        problems: Takes in what is missing.
        items: How errors call each; default `image NAME`.

    Returns:
        Indices into `names`, ascending.

    Raises:
        InputError: There is no such folder.
    """
    present, kept = present_files(folder, names), []
    for index, name in enumerate(names):
        if name in present:
            kept.append(index)
        else:
            item = f"image {name}" if items is None else items[index]
            problems.add(path, item, f"its image is not in the folder {folder}")
    return kept


def refuse_empty(number: int, path: Path, problems: Problems, what: str = "image") -> None:
    """Raise where nothing is left of a set.

    Raises:
        InputError: `number` is 0.
    """
    if not number:
        reasons = [f"{count} x {reason}" for reason, count in problems.reasons().items()]
        left_out = f" Left out: {'; '.join(reasons)}." if reasons else ""
        raise InputError(f"{path.name} has no {what} to offer.{left_out} File: {str(path)!r}")
