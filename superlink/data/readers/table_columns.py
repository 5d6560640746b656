"""Which column of a table of the `datasets` library holds what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...errors import InputError

__all__ = ["BATCH", "class_names", "feature_at", "find_column", "rows_of", "value_at"]

BATCH = 1000
"""Rows that are read together when a table is opened."""

_KNOWN = {
    "after": ("edited_prompt", "output_prompt"),
    "area": ("area", "areas"),
    "before": ("original_prompt", "input_prompt"),
    "bbox": ("bbox", "bboxes", "boxes"),
    "category": ("category", "categories", "category_id", "label", "labels"),
    "conversations": ("conversations", "messages", "json.conversations", "json.messages"),
    "edited": ("edited_image", "target_image", "target_img", "edited_file_name"),
    "image": ("image", "images", "jpg", "jpeg", "png", "webp", "json.image", "file_name"),
    "instruction": ("edit_prompt", "instruction", "edit"),
    "iscrowd": ("iscrowd", "is_crowd"),
    "objects": ("objects", "json.objects"),
    "source": ("input_image", "original_image", "source_img", "image", "file_name"),
    "text": ("text", "caption", "captions", "txt", "json.caption", "json.text"),
}
"""What columns are called where nobody says otherwise."""


def find_column(
    what: str, features: Any, chosen: Mapping[str, str], source: str, *, needed: bool = True
) -> str | None:
    """The column that holds `what`, with dots where it lies inside of another one.

    Args:
        what: A key of `_KNOWN`.
        features: Of the table, or of the column in which to look.
        chosen: Names that somebody gave, by what they hold.
        source: The table, for errors.
        needed: Whether a table without it is refused; a name that was given is always needed.

    Raises:
        InputError: There is no such column.
    """
    names = (chosen[what],) if what in chosen else _KNOWN[what]
    if found := next((name for name in names if feature_at(features, name) is not None), None):
        return found
    if not needed and what not in chosen:
        return None
    raise InputError(
        f"The table {source!r} has no column {' or '.join(map(repr, names))} for {what!r}. "
        f"Received: {sorted(_inside(features) or ())}. Name it: columns={{{what}: NAME}}."
    )


def feature_at(features: Any, name: str) -> Any:
    """What is declared of a column, `objects.bbox` being inside of `objects`; None without it."""
    for part in name.split("."):
        inside = _inside(features)
        if inside is None or part not in inside:
            return None
        features = inside[part]
    return features


def value_at(row: Mapping[str, Any], name: str) -> Any:
    """The value of a column in a row; None where it, or what it lies in, is missing."""
    value: Any = row
    for part in name.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value


def rows_of(table: Any) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Number and content of each row of a table, from which images were left out."""
    for start in range(0, len(table), BATCH):
        columns = table[start : start + BATCH]
        for number, values in enumerate(zip(*columns.values(), strict=True), start):
            yield number, dict(zip(columns, values, strict=True))


def class_names(feature: Any) -> tuple[str, ...] | None:
    """The names of numbered classes, where a column declares them."""
    while (inner := _item(feature)) is not None:
        feature = inner
    names = getattr(feature, "names", None)
    return None if names is None else tuple(names)


def _inside(feature: Any) -> Mapping[str, Any] | None:
    """The columns inside of one that holds mappings, or lists of them."""
    while (inner := _item(feature)) is not None:
        feature = inner
    return feature if isinstance(feature, Mapping) else None


def _item(feature: Any) -> Any:
    """What a list is of; None where it is no list. The library writes lists in two ways."""
    if isinstance(feature, list):
        return feature[0]
    return getattr(feature, "feature", None)
