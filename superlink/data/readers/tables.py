"""Reading tables of the `datasets` library: Parquet, Arrow, JSON lines, WebDataset, folders.

A table stays on the disk and is mapped into memory; any row can be asked for.
"""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from ...errors import ConfigError, InputError, MissingDependencyError
from ..problems import BrokenPolicy, Problems
from ..records import Records
from ..schema import AnnotatedImage, Dialogue
from .semantic_folder import read_classes
from .table_rows import BoxForm, TableDetections, TableDialogues

__all__ = ["named_table", "open_table", "read_dialogues", "read_table"]

_BUILDERS = {
    ".arrow": "arrow",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".parquet": "parquet",
    ".tar": "webdataset",
}


def read_table(
    data: str | Path,
    *,
    split: str = "train",
    columns: Mapping[str, str] | None = None,
    kind: Literal["detection", "dialogue"] = "detection",
    images: str | Path | None = None,
    classes: str | Path | Sequence[str] | None = None,
    boxes: BoxForm = "xywh",
    cache: str | Path | None = None,
    broken: BrokenPolicy = "error",
) -> Records[AnnotatedImage] | Records[Dialogue]:
    """Read a table of annotated images, or of dialogues.

    Images with boxes have the columns `image` and `objects`, the latter with `bbox` and
    `category`, and perhaps `iscrowd` and `area`. Dialogues have `conversations` (`from` and
    `value`) or `messages` (`role` and `content`), and `image` or `images`.

    Args:
        data: A file, several as `shards/*.tar`, a folder, or the name of a data set on the
            Hugging Face Hub.
        split: Which split of a folder or of a data set on the Hub; files are one split.
        columns: Where the columns have other names: `{image: jpg, objects: json.objects}`; of
            `bbox`, `category`, `iscrowd` and `area` the names inside of `objects`.
        kind: What its rows are.
        images: The folder that file names are relative to, where images are no part of the table.
        classes: Names of numbered categories, as a list or a text file, where the table has none.
        boxes: Whether boxes are x, y, width, height or two corners.
        cache: Where the library puts its copy in Arrow's form; default its own place.
        broken: What to do with a row that cannot be used: `error` raises, `skip` leaves it out
            and counts it.

    Raises:
        InputError: The library cannot read the table, a column is missing, or no row is left.
        MissingDependencyError: `datasets` is not installed.
    """
    if kind not in ("detection", "dialogue") or boxes not in ("xywh", "xyxy"):
        raise ConfigError(
            "kind is 'detection' or 'dialogue', boxes is 'xywh' or 'xyxy'. "
            f"Received: kind={kind!r}, boxes={boxes!r}"
        )
    if kind == "dialogue":
        return read_dialogues(
            data, split=split, columns=columns, images=images, cache=cache, broken=broken
        )
    folder = None if images is None else Path(images)
    names = None if classes is None else tuple(read_classes(classes))
    table, problems = open_table(data, split, cache), Problems(broken)
    return TableDetections(table, str(data), columns or {}, folder, names, boxes, problems)


def read_dialogues(
    data: str | Path,
    *,
    split: str = "train",
    columns: Mapping[str, str] | None = None,
    kind: Literal["dialogue"] = "dialogue",
    images: str | Path | None = None,
    cache: str | Path | None = None,
    broken: BrokenPolicy = "error",
) -> Records[Dialogue]:
    """Read a table of dialogues; see `read_table`."""
    if kind != "dialogue":
        raise ConfigError(f"This task reads kind='dialogue'. Received: kind={kind!r}")
    table = open_table(data, split, cache)
    folder = None if images is None else Path(images)
    return TableDialogues(table, str(data), columns or {}, folder, Problems(broken))


def open_table(data: str | Path, split: str, cache: str | Path | None = None) -> Any:
    """A `datasets.Dataset`, mapped into memory; see `read_table`.

    Raises:
        InputError: The library cannot read it.
        MissingDependencyError: `datasets` is not installed.
    """
    try:
        import datasets
    except ImportError as error:
        raise MissingDependencyError(
            "Tables are read by the datasets library, which is not installed. "
            "Run: pip install 'superlink[data]'"
        ) from error
    path, place = Path(data), None if cache is None else str(cache)
    with _as_input_errors(data):
        if path.is_dir() and any((path / n).is_file() for n in ("state.json", "dataset_dict.json")):
            saved = datasets.load_from_disk(str(path))
            return saved[split] if isinstance(saved, datasets.DatasetDict) else saved
        if path.suffix.lower() not in _BUILDERS:
            return datasets.load_dataset(str(data), split=split, cache_dir=place)
        files = sorted(glob.glob(str(data))) if glob.has_magic(str(data)) else [str(path)]
        if not files or not all(map(Path.is_file, map(Path, files))):
            raise InputError(f"No such table: {str(data)!r}. Check the path.")
        builder = _BUILDERS[path.suffix.lower()]
        return datasets.load_dataset(
            builder, data_files={"train": files}, split="train", cache_dir=place
        )


def named_table(data: Any, split: str, cache: str | Path | None = None) -> tuple[Any, str]:
    """A table that is open already, or that is opened as by `open_table`, and its name."""
    if hasattr(data, "select_columns"):
        return data, data.info.dataset_name or "dataset"
    return open_table(data, split, cache), str(data)


@contextmanager
def _as_input_errors(data: str | Path) -> Iterator[None]:
    """Errors of the library and of those below it, as errors of the data."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # the library lets through what its own dependencies raise
        cause = error.__cause__ or error
        raise InputError(
            f"The datasets library cannot read {str(data)!r}: {type(cause).__name__}: {cause}"
        ) from error
