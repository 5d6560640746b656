"""The images of a table of the `datasets` library: in it, or files that it names."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from ...errors import InputError
from .files import present_files
from .table_columns import BATCH, value_at

__all__ = ["RowImages", "TableImages"]


class RowImages(NamedTuple):
    """What is known of the images of a row without looking at them."""

    number: int
    """How many there are."""
    missing: bool
    """Whether one of them is not in the folder."""

    @property
    def fault(self) -> str:
        """Why a row that needs one image cannot be used; empty where it can."""
        if self.number != 1:
            return "it does not have one image"
        return "its image is not in the folder" if self.missing else ""


class TableImages:
    """The images of each row.

    Args:
        table: A `datasets.Dataset`.
        column: What holds an image or a list of them; None where the table has none.
        folder: The folder that file names are relative to.
        source: The table, for errors.
    """

    def __init__(self, table: Any, column: str | None, folder: Path | None, source: str) -> None:
        self.column, self.folder, self.source = column, folder, source
        self._rows = len(table)
        self._part = table.select_columns([column.partition(".")[0]]) if column else None

    def scan(self) -> list[RowImages]:
        """What is known of the images of each row; pixels stay where they are.

        Raises:
            InputError: There are file names, and no folder.
        """
        if self._part is None:
            return [RowImages(0, False)] * self._rows
        found = list(self._counts_and_names())
        needed = {name for _, names in found for name in names}
        if needed and self.folder is None:
            raise InputError(
                f"The table {self.source!r} has names of images, as {min(needed)!r}. "
                "Give the folder of the images: images=FOLDER."
            )
        present = present_files(self.folder, needed) if self.folder and needed else set()
        return [RowImages(count, not present.issuperset(names)) for count, names in found]

    def of_row(self, row: int) -> tuple[Path | Image.Image, ...]:
        """The images of one row.

        Raises:
            InputError: An image cannot be decoded.
        """
        if self._part is None or self.column is None:
            return ()
        try:
            value = value_at(self._part[row], self.column)
            values = value if isinstance(value, list) else [] if value is None else [value]
            return tuple(map(self._image, values))
        except Exception as error:  # PIL's format plugins raise almost anything on broken bytes
            raise InputError(
                f"The image of row {row} in {self.source!r} cannot be read: {error}"
            ) from error

    def _counts_and_names(self) -> Iterator[tuple[int, tuple[str, ...]]]:
        """How many images each row has, and their names where they are files."""
        _, *inner = (self.column or "").split(".")
        arrow: Any = self._part.with_format("arrow") if self._part is not None else ()
        for start in range(0, len(arrow), BATCH):
            # Chunk by chunk: to join them would read and copy the bytes of all images.
            for values in arrow[start : start + BATCH].column(0).chunks:
                for name in inner:
                    values = values.field(name)
                yield from _counts_and_names(values)

    def _image(self, value: Any) -> Path | Image.Image:
        """An image as tables hold it: decoded, encoded, with its name beside it, or the name."""
        if isinstance(value, Image.Image):
            return value
        if isinstance(value, str) and self.folder is not None:
            return self.folder / value
        if isinstance(value, Mapping):
            value = value.get("bytes")
        if isinstance(value, bytes):
            return Image.open(io.BytesIO(value))
        raise InputError(f"expected an image, its bytes or its name, received {type(value)}")


def _counts_and_names(values: Any) -> Iterator[tuple[int, tuple[str, ...]]]:
    """How many images each row of an array of Arrow has, and their names where they are files."""
    listed = hasattr(values, "value_lengths")
    kind = values.type.value_type if listed else values.type
    if str(kind) in ("string", "large_string"):
        for value in values.to_pylist():
            names = value if isinstance(value, list) else [value]
            kept = tuple(name for name in names if name)
            yield len(kept), kept
    else:
        counts = values.value_lengths() if listed else values.is_valid()
        yield from ((int(count or 0), ()) for count in counts.to_pylist())
