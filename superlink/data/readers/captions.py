"""Reading images with captions: a folder with metadata, or a table of the `datasets` library."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..problems import BrokenPolicy, Problems
from ..schema import CaptionedImage
from .row_sources import FolderRows, RowSource, SourceRecords, TableRows
from .table_columns import value_at
from .tables import named_table

__all__ = ["CaptionRows", "captions_of", "read_caption_folder", "read_caption_table"]


def read_caption_folder(
    images: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    broken: BrokenPolicy = "error",
) -> CaptionRows:
    """Read a folder of images with `metadata.jsonl` or `metadata.csv`, as the `datasets` library
    has them: `file_name`, relative to the folder, and `text`.

    Args:
        images: The folder.
        columns: Where the columns have other names: `{text: prompt, image: file}`. A text may be a
            list of several captions in JSON lines.
        broken: What to do with a line that cannot be used: `error` raises, `skip` leaves it out
            and counts it.

    Raises:
        InputError: The folder or its metadata is missing or broken, or no line is left.
    """
    problems = Problems(broken)
    return CaptionRows(FolderRows(Path(images), problems), columns or {}, problems)


def read_caption_table(
    data: Any,
    *,
    split: str = "train",
    columns: Mapping[str, str] | None = None,
    images: str | Path | None = None,
    cache: str | Path | None = None,
    broken: BrokenPolicy = "error",
) -> CaptionRows:
    """Read a table of images and captions.

    It has the columns `image` and `text` or `caption`; WebDataset's `jpg` and `txt` or
    `json.caption` are known as well.

    Args:
        data: A `datasets.Dataset`, or what `read_table` takes: a file, several as `shards/*.tar`,
            a folder, or the name of a data set on the Hugging Face Hub.
        split: Which split of a folder or of a data set on the Hub; files are one split.
        columns: Where the columns have other names: `{image: picture, text: json.prompt}`. A text
            may be a list of several captions.
        images: The folder that file names are relative to, where images are no part of the table.
        cache: Where the library puts its copy in Arrow's form; default its own place.
        broken: What to do with a row that cannot be used: `error` raises, `skip` leaves it out
            and counts it.

    Raises:
        InputError: The library cannot read the table, a column is missing, or no row is left.
        MissingDependencyError: `datasets` is not installed.
    """
    table, name = named_table(data, split, cache)
    source = TableRows(table, name, None if images is None else Path(images))
    return CaptionRows(source, columns or {}, Problems(broken))


class CaptionRows(SourceRecords[CaptionedImage]):
    """Rows of an image and one or more captions, in their order."""

    def __init__(self, source: RowSource, columns: Mapping[str, str], problems: Problems) -> None:
        self._text = source.column("text", columns)
        self._images = source.images(source.column("image", columns))
        super().__init__(source, source.select([self._text]), problems)

    def record(self, index: int) -> CaptionedImage:
        """One row.

        Raises:
            InputError: The image cannot be decoded.
        """
        number = int(self._kept[index])
        first, *others = captions_of(value_at(self._part[number], self._text))
        (image,) = self._images.of_row(number)
        return CaptionedImage(
            image, ((first, ()),), self._key(number), other_captions=tuple(others)
        )

    def _faults(self) -> Callable[[int, Mapping[str, Any]], str]:
        images = self._images.scan()

        def fault(number: int, row: Mapping[str, Any]) -> str:
            said = captions_of(value_at(row, self._text))
            return images[number].fault or ("" if said else "it has no text")

        return fault


def captions_of(value: Any) -> tuple[str, ...]:
    """The texts of a value, which may be a list; blank ones are left out."""
    listed = value if isinstance(value, list) else [value]
    return tuple(text for text in listed if isinstance(text, str) and text.strip())
