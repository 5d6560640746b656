"""COCO's average precision of boxes, as pycocotools computes it."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InputError, MissingDependencyError

__all__ = ["BoxRecord", "average_precision"]


@dataclass(frozen=True)
class BoxRecord:
    """One annotated or predicted box."""

    image: int
    """Index of its image."""
    category: str
    """Its class."""
    bbox: tuple[float, float, float, float]
    """(x1, y1, x2, y2) in pixels."""
    score: float = 1.0
    """Confidence of a prediction."""


def average_precision(
    truths: Sequence[BoxRecord], predictions: Sequence[BoxRecord], num_images: int
) -> dict[str, float]:
    """Mean over the classes that `truths` holds, at most 100 predictions an image.

    Returns:
        `box_AP` (IoU .50 to .95), `box_AP50` and `box_AP75`, from 0 to 1.

    Raises:
        InputError: Without any annotated box there is nothing to measure.
        MissingDependencyError: pycocotools is not installed.
    """
    coco_class, eval_class = _pycocotools()
    if not truths:
        raise InputError("Average precision needs at least one annotated box. Received: none")
    stats = [0.0, 0.0, 0.0]
    if predictions:
        with contextlib.redirect_stdout(io.StringIO()):
            truth = coco_class()
            truth.dataset = _dataset(truths, predictions, num_images)
            truth.createIndex()
            ids = {entry["name"]: entry["id"] for entry in truth.dataset["categories"]}
            found = truth.loadRes([_annotation(item, ids) for item in predictions])
            evaluation = eval_class(truth, found, "bbox")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        stats = [float(value) for value in evaluation.stats[:3]]
    return dict(zip(("box_AP", "box_AP50", "box_AP75"), stats, strict=True))


def _dataset(
    truths: Sequence[BoxRecord], predictions: Sequence[BoxRecord], num_images: int
) -> dict[str, Any]:
    names = sorted({item.category for item in (*truths, *predictions)})
    ids = {name: number for number, name in enumerate(names, 1)}
    # pycocotools takes id 0 for "no match": ids of annotations begin with 1.
    annotations = [{**_annotation(t, ids), "id": i, "iscrowd": 0} for i, t in enumerate(truths, 1)]
    return {
        "info": {},
        "images": [{"id": index} for index in range(num_images)],
        "categories": [{"id": number, "name": name} for name, number in ids.items()],
        "annotations": annotations,
    }


def _annotation(item: BoxRecord, ids: dict[str, int]) -> dict[str, Any]:
    x1, y1, x2, y2 = item.bbox
    return {
        "image_id": item.image,
        "category_id": ids[item.category],
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": (x2 - x1) * (y2 - y1),
        "score": item.score,
    }


def _pycocotools() -> tuple[Any, Any]:
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise MissingDependencyError(
            "Average precision is computed by pycocotools, which is not installed. "
            "Run: pip install 'superlink[eval]'"
        ) from error
    return COCO, COCOeval
