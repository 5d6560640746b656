"""Instances of targets and replies in a row: columns of plain numbers, and the way back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from ..interfaces import InstancePrediction
from .evaluator import Row
from .metrics.average_precision import Instance
from .metrics.columns import Columns, encode_masks, join_columns, plain_numbers, read_instances
from .routing import AskedNames

__all__ = ["annotated_instances", "boxes_by_name", "found_instances", "instance_row"]


def instance_row(
    targets: Sequence[Mapping[str, Any]],
    predictions: Sequence[InstancePrediction],
    names: AskedNames,
    key: str,
) -> dict[str, Any]:
    """What instances add to a row.

    Returns:
        The columns of `truths` and `ignored`, whose labels are indices into the row's `expected`,
        and of `found`, whose labels are indices into its `phrases`; `other_ignored`, whose labels
        are indices into `other_names`, where there are any; `size`, (H, W), where it is known.

    Raises:
        InputError: Predicted masks do not have the image's size.
    """
    sizes = [tuple(target["size"]) for target in targets if "size" in target]
    sizes += [tuple(target["masks"].shape[-2:]) for target in targets if "masks" in target]
    found = [tuple(p.masks.shape[-2:]) for p in predictions if p.masks is not None and len(p.masks)]
    sizes += found
    if any(size != sizes[0] for size in found):
        raise InputError(
            f"Masks must have the original image's size {sizes[0]}. "
            f"Received: {found} for sample {key!r}"
        )
    return {
        "truths": _annotated_columns(targets, ""),
        "ignored": _annotated_columns(targets, "ignored_"),
        "found": join_columns(_found_columns(prediction, names) for prediction in predictions),
        **_other_columns(targets),
        **({"size": [int(side) for side in sizes[0]]} if sizes else {}),
    }


def annotated_instances(rows: Sequence[Row]) -> Iterator[Instance]:
    """The truths of all rows, ignored ones among them."""
    for image, row in enumerate(rows):
        for section in ("truths", "ignored"):
            yield from read_instances(
                row[section],
                row["expected"],
                image,
                size=row.get("size"),
                ignored=section == "ignored",
            )
        if "other_ignored" in row:
            yield from read_instances(
                row["other_ignored"],
                row["other_names"],
                image,
                size=row.get("size"),
                ignored=True,
            )


def found_instances(
    rows: Sequence[Row], categories: Sequence[Sequence[str | None]]
) -> Iterator[Instance]:
    """The found instances of all rows; `categories` has the class of each phrase of each row."""
    for image, (row, names) in enumerate(zip(rows, categories, strict=True)):
        yield from read_instances(row["found"], names, image, size=row.get("size"))


def boxes_by_name(
    columns: Columns, names: Sequence[str | None], least: float = 0.0
) -> dict[str, tuple[list[list[float]], list[float]]]:
    """The boxes and scores of each name, best first, of instances with a score of at least
    `least`."""
    scores = columns.get("scores", [1.0] * len(columns["labels"]))
    found: dict[str, tuple[list[list[float]], list[float]]] = {}
    for index in np.argsort(-np.asarray(scores, np.float64), kind="stable").tolist():
        name = names[columns["labels"][index]]
        if name is not None and scores[index] >= least:
            boxes, kept = found.setdefault(name, ([], []))
            boxes.append(columns["bboxes"][index])
            kept.append(scores[index])
    return found


def _annotated_columns(targets: Sequence[Mapping[str, Any]], prefix: str) -> Columns:
    parts, first = [], 0
    for target in targets:
        if f"{prefix}labels" in target:
            part = {
                "labels": [first + label for label in target[f"{prefix}labels"].tolist()],
                "bboxes": plain_numbers(target[f"{prefix}bboxes"].numpy()),
            }
            if (areas := target.get(f"{prefix}areas")) is not None:
                part["areas"] = plain_numbers(areas.numpy())
            if (masks := target.get(f"{prefix}masks")) is not None:
                part["masks"] = encode_masks(masks.numpy())
            parts.append(part)
        first += len(target["names"])
    return join_columns(parts)


def _other_columns(targets: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Ignored regions of classes that were not asked for."""
    regions = [
        {
            "names": (),
            "ignored_labels": np.arange(len(target["other_ignored_names"])),
            **{
                key.removeprefix("other_"): value
                for key, value in target.items()
                if key.startswith("other_ignored_") and key != "other_ignored_names"
            },
        }
        for target in targets
        if target.get("other_ignored_names")
    ]
    if not regions:
        return {}
    listed = [name for target in targets for name in target.get("other_ignored_names", ())]
    columns = dict(_annotated_columns(regions, "ignored_"))
    return {
        "other_names": listed,
        "other_ignored": {**columns, "labels": list(range(len(listed)))},
    }


def _found_columns(prediction: InstancePrediction, names: AskedNames) -> Columns:
    columns = {
        "labels": [names.phrase(prediction.phrases[i]) for i in prediction.labels.tolist()],
        "bboxes": plain_numbers(prediction.bboxes.detach().cpu().numpy()),
        "scores": plain_numbers(prediction.scores.detach().cpu().numpy()),
    }
    if prediction.masks is not None:
        columns["masks"] = encode_masks(prediction.masks.detach().cpu().numpy())
    return columns
