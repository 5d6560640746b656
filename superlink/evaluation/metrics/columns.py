"""Instances as columns of JSON types: what rows keep of targets and predictions."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import MissingDependencyError
from .average_precision import Instance

__all__ = ["Columns", "encode_masks", "join_columns", "plain_numbers", "read_instances"]

Columns = Mapping[str, list[Any]]
"""`labels` and `bboxes` of N instances; `scores`, `areas` and `masks` where they are known."""


def plain_numbers(values: npt.NDArray[Any]) -> list[Any]:
    """An array of any shape as nested lists of Python numbers.

    Of float32 the shortest decimals that give the same float32 again: a third of the text.
    """
    if values.dtype == np.float32:
        values = values.astype(str).astype(np.float64)
    listed: list[Any] = values.tolist()
    return listed


def encode_masks(masks: npt.NDArray[Any]) -> list[str]:
    """Masks (N, H, W), bool or above 0.5 where true, as COCO's compressed run lengths.

    Raises:
        MissingDependencyError: pycocotools is not installed.
    """
    if not len(masks):
        return []
    try:
        from pycocotools import mask as coco_mask
    except ImportError as error:
        raise MissingDependencyError(
            "Masks are compressed by pycocotools, which is not installed. "
            "Run: pip install 'superlink[eval]'"
        ) from error
    whole = masks.dtype == np.bool_
    with warnings.catch_warnings():  # pycocotools 2.0.11 uses an old protocol of numpy
        warnings.simplefilter("ignore", DeprecationWarning)
        # One by one: to reorder all of them at once takes twice the time.
        runs = (
            coco_mask.encode(np.asfortranarray(mask if whole else mask > 0.5, np.uint8))
            for mask in masks
        )
        return [run["counts"].decode("ascii") for run in runs]


def join_columns(parts: Iterable[Columns]) -> dict[str, list[Any]]:
    """The instances of all parts. Of what only some parts know, nothing is kept."""
    full = [part for part in parts if part["labels"]]
    kept = set.intersection(*(set(part) for part in full)) if full else {"labels", "bboxes"}
    return {key: [value for part in full for value in part[key]] for key in sorted(kept)}


def read_instances(
    columns: Columns,
    names: Sequence[str | None],
    image: int,
    *,
    size: Sequence[int] | None = None,
    ignored: bool = False,
) -> Iterator[Instance]:
    """The instances of one image.

    Args:
        columns: What a row kept.
        names: The class of each label; instances of None are left out.
        image: Index of the image.
        size: Its height and width, which masks need.
        ignored: Whether it is neither right nor wrong to find them.
    """
    for index, label in enumerate(columns["labels"]):
        if (category := names[label]) is None:
            continue
        optional = {key: columns[key][index] for key in ("scores", "areas") if key in columns}
        yield Instance(
            image=image,
            category=category,
            bbox=columns["bboxes"][index],
            score=optional.get("scores", 1.0),
            area=optional.get("areas"),
            ignored=ignored,
            mask={"size": size, "counts": columns["masks"][index]} if "masks" in columns else None,
        )
