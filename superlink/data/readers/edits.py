"""Reading edited images: what was there, the instruction, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..problems import BrokenPolicy, Problems
from ..schema import EditedImage
from .row_sources import FolderRows, RowSource, SourceRecords, TableRows
from .table_columns import value_at
from .tables import named_table

__all__ = ["EditRows", "read_edit_folder", "read_edit_table"]


def read_edit_folder(
    images: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    broken: BrokenPolicy = "error",
) -> EditRows:
    """Read a folder of images with `metadata.jsonl` or `metadata.csv`: `file_name`, `instruction`
    and `edited_file_name`, both names relative to the folder.

    Args:
        images: The folder.
        columns: Where the columns have other names: `{source: before, edited: after}`.
        broken: What to do with a line that cannot be used: `error` raises, `skip` leaves it out
            and counts it.

    Raises:
        InputError: The folder or its metadata is missing or broken, or no line is left.
    """
    problems = Problems(broken)
    return EditRows(FolderRows(Path(images), problems), columns or {}, problems)


def read_edit_table(
    data: Any,
    *,
    split: str = "train",
    columns: Mapping[str, str] | None = None,
    images: str | Path | None = None,
    cache: str | Path | None = None,
    broken: BrokenPolicy = "error",
) -> EditRows:
    """Read a table of edited images, with columns as those of InstructPix2Pix: `input_image` or
    `original_image`, `edit_prompt`, `edited_image`; and where they are there, `original_prompt`
    and `edited_prompt`, which say what both images show.

    Args:
        data: A `datasets.Dataset`, or what `read_table` takes: a file, several as `shards/*.tar`,
            a folder, or the name of a data set on the Hugging Face Hub.
        split: Which split of a folder or of a data set on the Hub; files are one split.
        columns: Where the columns have other names: `{source: a, instruction: b, edited: c,
            before: d, after: e}`.
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
    return EditRows(source, columns or {}, Problems(broken))


class EditRows(SourceRecords[EditedImage]):
    """Rows of an image, an instruction and the edited image, in their order."""

    def __init__(self, source: RowSource, columns: Mapping[str, str], problems: Problems) -> None:
        self._instruction = source.column("instruction", columns)
        self._images = [source.images(source.column(w, columns)) for w in ("source", "edited")]
        texts = [source.optional_column(what, columns) for what in ("before", "after")]
        self._captions = [text for text in texts if text is not None]
        super().__init__(source, source.select([self._instruction, *self._captions]), problems)

    def record(self, index: int) -> EditedImage:
        """One row.

        Raises:
            InputError: An image cannot be decoded.
        """
        number = int(self._kept[index])
        row = self._part[number]
        (image,), (edited,) = (images.of_row(number) for images in self._images)
        said = [text for name in self._captions if _is_text(text := value_at(row, name))]
        return EditedImage(
            image=image,
            instruction=value_at(row, self._instruction),
            edited=edited,
            key=self._key(number),
            captions=(said[0], said[1]) if len(said) == 2 else None,
        )

    def _faults(self) -> Callable[[int, Mapping[str, Any]], str]:
        before, after = (images.scan() for images in self._images)

        def fault(number: int, row: Mapping[str, Any]) -> str:
            if before[number].fault:
                return before[number].fault
            if after[number].fault:
                return f"of its edited image: {after[number].fault}"
            asked = _is_text(value_at(row, self._instruction))
            return "" if asked else "it has no instruction"

        return fault


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())
