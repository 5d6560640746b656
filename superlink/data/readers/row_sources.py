"""Rows with images, wherever they stand: a table of the `datasets` library, or a folder of images
with a file of metadata beside them."""

from __future__ import annotations

import csv
import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from PIL import Image

from ...errors import InputError
from ..problems import Problems
from ..records import Records
from .files import present_files, read_file, read_lines, refuse_empty
from .table_columns import find_column, rows_of
from .table_images import RowImages, TableImages

__all__ = ["FolderRows", "RowSource", "SourceRecords", "TableRows", "numbered"]

_METADATA = ("metadata.jsonl", "metadata.csv")
Row = Mapping[str, Any]
Record = TypeVar("Record", covariant=True)


class _Images(Protocol):
    def scan(self) -> list[RowImages]: ...

    def of_row(self, row: int, /) -> tuple[Path | Image.Image, ...]: ...


class RowSource(ABC):
    """Rows that are numbered from 0, and the images that a column of them holds or names."""

    name: str
    """What errors call it, and keys of records begin with."""
    features: Any
    """The columns."""

    def column(self, what: str, chosen: Mapping[str, str]) -> str:
        """The column that holds `what`; see `find_column`."""
        return find_column(what, self.features, chosen, self.name) or ""

    def optional_column(self, what: str, chosen: Mapping[str, str]) -> str | None:
        """The same, None where there is none and none was chosen."""
        return find_column(what, self.features, chosen, self.name, needed=False)

    @abstractmethod
    def images(self, column: str) -> _Images:
        """What is known of the images of a column."""

    @abstractmethod
    def select(self, columns: Sequence[str]) -> Sequence[Row]:
        """The rows with some of their columns, without images."""

    @abstractmethod
    def item(self, number: int) -> str:
        """How errors call a row."""


class TableRows(RowSource):
    """The rows of a `datasets.Dataset`.

    Args:
        table: The data set.
        name: What errors call it.
        folder: The folder that names of images are relative to, where the table holds names.
    """

    def __init__(self, table: Any, name: str, folder: Path | None) -> None:
        self.table, self.name, self.folder = table, name, folder
        self.features = table.features

    def images(self, column: str) -> _Images:
        """The images of a column, encoded or decoded or by their names."""
        return TableImages(self.table, column, self.folder, self.name)

    def select(self, columns: Sequence[str]) -> Sequence[Row]:
        """A table of these columns, mapped into memory."""
        part: Sequence[Row] = self.table.select_columns(sorted({c.split(".")[0] for c in columns}))
        return part

    def item(self, number: int) -> str:
        """`row 7`."""
        return f"row {number}"


class FolderRows(RowSource):
    """The lines of `metadata.jsonl` or `metadata.csv` in a folder of images.

    Args:
        folder: The folder.
        problems: Takes in lines that cannot be read.

    Raises:
        InputError: The folder has no such file or both, or it cannot be read.
    """

    def __init__(self, folder: Path, problems: Problems) -> None:
        self.folder, self.path = folder, _metadata_file(folder)
        self.name = str(self.path)
        read = _read_csv if self.path.suffix == ".csv" else _read_jsonl
        found = list(read(self.path, problems))
        refuse_empty(len(found), self.path, problems, "line")
        self._lines = [line for line, _ in found]
        self._rows = [row for _, row in found]
        self.features = {name: name for row in self._rows for name in row}

    def images(self, column: str) -> _Images:
        """The files that a column names."""
        return _FolderImages(self.folder, [row.get(column) for row in self._rows])

    def select(self, columns: Sequence[str]) -> Sequence[Row]:
        """All rows."""
        return self._rows

    def item(self, number: int) -> str:
        """`line 8`."""
        return f"line {self._lines[number]}"


class _FolderImages:
    def __init__(self, folder: Path, names: Sequence[Any]) -> None:
        self.folder = folder
        self.names = [name if isinstance(name, str) else "" for name in names]

    def scan(self) -> list[RowImages]:
        present = present_files(self.folder, filter(None, self.names))
        return [RowImages(int(bool(name)), name not in present) for name in self.names]

    def of_row(self, row: int, /) -> tuple[Path | Image.Image, ...]:
        return (self.folder / self.names[row],)


def _metadata_file(folder: Path) -> Path:
    if not folder.is_dir():
        raise InputError(f"No such folder of images: {str(folder)!r}. Check the path.")
    found = [folder / name for name in _METADATA if (folder / name).is_file()]
    if len(found) != 1:
        raise InputError(
            f"A folder of images has one file {' or '.join(_METADATA)} that says what they show. "
            f"Received: {[path.name for path in found] or 'none'} in {str(folder)!r}"
        )
    return found[0]


def _read_jsonl(path: Path, problems: Problems) -> Iterator[tuple[int, Row]]:
    yield from read_lines(path, dict[str, Any], problems)


def _read_csv(path: Path, problems: Problems) -> Iterator[tuple[int, Row]]:
    """Number of the last line of each row, and its values by the names in the first line."""
    try:
        text = read_file(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{str(path)!r} is no UTF-8: {error}. Write it as UTF-8.") from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        for row in reader:
            if None in row or None in row.values():
                reason = "it has another number of values than the first line has names"
                problems.add(path, f"line {reader.line_num}", reason)
            else:
                yield reader.line_num, row
    except csv.Error as error:
        raise InputError(
            f"{path.name} is no usable CSV: {error}, in line {reader.line_num}. File: {str(path)!r}"
        ) from error


class SourceRecords(Records[Record]):
    """Records of the rows of a source that can be used; the others become problems.

    Args:
        source: The rows.
        part: They, with what `_fault` and `record` read of them.
        problems: Takes in the rows that cannot be used.

    Raises:
        InputError: No row is left.
    """

    def __init__(self, source: RowSource, part: Sequence[Row], problems: Problems) -> None:
        self.source, self.problems, self._part = source, problems, part
        self._kept = np.array(list(self._usable()), np.int64)
        refuse_empty(len(self), Path(source.name), problems, "row")

    def __len__(self) -> int:
        return len(self._kept)

    @abstractmethod
    def _faults(self) -> Callable[[int, Row], str]:
        """What says of a row, by its number, why it cannot be used; empty where it can."""

    def _key(self, number: int) -> str:
        """A stable name of a row."""
        return f"{Path(self.source.name).name}#{self.source.item(number)}"

    def _usable(self) -> Iterator[int]:
        """Numbers of the rows that can be used."""
        fault_of = self._faults()
        for number, row in numbered(self._part):
            if fault := fault_of(number, row):
                self.problems.add(self.source.name, self.source.item(number), fault)
            else:
                yield number


def numbered(part: Sequence[Row]) -> Iterator[tuple[int, Row]]:
    """Number and content of each row of what `RowSource.select` gave."""
    return enumerate(part) if isinstance(part, list) else rows_of(part)
