"""Interactive segmentation: does the mask of each route cover what its region marks?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from ..interfaces import InstancePrediction, Reply, Sample
from .evaluator import Evaluator, Row
from .metrics.matching import normalize_phrase
from .metrics.overlap import box_iou, iou, mask_overlap, region_metrics
from .routing import (
    finite_remarks,
    finite_row,
    instance_predictions,
    needed_masks,
    needed_targets,
)

__all__ = ["InteractiveEvaluator"]

_KEYS = ("bboxes", "labels", "names", "masks", "prompts")


class InteractiveEvaluator(Evaluator):
    """Compares the best mask of each route with the object that its region marks.

    A route is the answer to the region that its phrase numbers, `region 2`; with any other phrase,
    to the region in its place. A region without an answer counts as 0.
    """

    def measure(self, sample: Sample, reply: Reply) -> Row:
        """For each region: its kind, whether there is an answer, and how far they overlap.

        Raises:
            InputError: The sample has no target with `masks` and `prompts`, or the instances have
                no masks of its shape.
        """
        (target,) = needed_targets(sample, _KEYS, "Interactive segmentation", most=1)
        found = instance_predictions(reply)
        regions = [
            {"prompt": prompt, **_compare(target, label, _best(found, label), sample.key)}
            for label, prompt in enumerate(target["prompts"])
        ]
        shuffled = {"shuffled": bool(target["shuffled"])} if "shuffled" in target else {}
        return {"regions": regions, **shuffled, **finite_row(reply)}

    def summarize(self, rows: Sequence[Row]) -> dict[str, float]:
        """How well regions are segmented.

        Where regions are shuffled, images with one object count for nothing.

        Returns:
            `mIoU`, the mean IoU of the masks; `cIoU`, the sum of all intersections over that of all
            unions; `P@0.5`, the share of boxes with an IoU of at least 0.5. Where there are several
            kinds of regions, all three of each kind as well: `mIoU/point`.

        Raises:
            InputError: There is no region.
        """
        regions = _counted(rows)
        if not regions:
            raise InputError(
                "Interactive segmentation needs at least one region, and where regions are "
                f"shuffled an image with two objects. Received: {len(rows)} samples without"
            )
        metrics = _metrics(regions)
        kinds = sorted({region["prompt"] for region in regions})
        for kind in kinds if len(kinds) > 1 else ():
            part = _metrics([region for region in regions if region["prompt"] == kind])
            metrics |= {f"{name}/{kind}": value for name, value in part.items()}
        return metrics

    def quality(self, row: Row) -> float:
        """The mean IoU of the masks."""
        return float(np.mean([iou(r["intersection"], r["union"]) for r in row["regions"]]))

    def remarks(self, rows: Sequence[Row]) -> tuple[str, ...]:
        """How many regions have no answer, which were shuffled, and what was left out."""
        return (*_shuffled_remarks(rows), *_answer_remarks(rows), *finite_remarks(rows))


def _best(found: Sequence[InstancePrediction], index: int) -> InstancePrediction | None:
    """The best instance (1,) of the route that answers region `index`."""
    name = f"region {index + 1}"
    for prediction in found:
        phrases = [normalize_phrase(phrase) for phrase in prediction.phrases]
        numbered = any(re.fullmatch(r"region \d+", phrase) for phrase in phrases)
        if name in phrases:
            route = phrases.index(name)
        elif index < len(phrases) and not numbered:
            route = index
        else:
            continue
        mine = prediction.select(prediction.labels == route)
        return mine.best() if len(mine.labels) else None
    return None


def _compare(
    target: Mapping[str, Any], label: int, answer: InstancePrediction | None, key: str
) -> dict[str, Any]:
    meant = (target["labels"] == label).numpy()  # (N,)
    truth = target["masks"].numpy()[meant].any(axis=0)  # (H, W)
    void = target["void"].numpy() if "void" in target else None
    mask, box = np.zeros_like(truth), 0.0
    if answer is not None:
        mask = needed_masks(answer, truth.shape, key)[0] > 0.5
        overlaps = box_iou(answer.bboxes.cpu().numpy(), target["bboxes"].numpy()[meant])
        box = float(overlaps.max(initial=0.0))
    shared, whole = mask_overlap(mask, truth, void)
    return {
        "answered": answer is not None,
        "intersection": shared,
        "union": whole,
        "box_iou": box,
    }


def _counted(rows: Sequence[Row]) -> list[Mapping[str, Any]]:
    return [region for row in rows if row.get("shuffled", True) for region in row["regions"]]


def _metrics(regions: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    overlaps = [(region["intersection"], region["union"]) for region in regions]
    found = region_metrics(overlaps, [True] * len(regions))
    return {
        "mIoU": found["mIoU"],
        "cIoU": found["cIoU"],
        "P@0.5": float(np.mean([region["box_iou"] >= 0.5 for region in regions])),
    }


def _answer_remarks(rows: Sequence[Row]) -> Iterator[str]:
    regions = _counted(rows)
    if missing := sum(not region["answered"] for region in regions):
        yield f"{missing} of {len(regions)} regions have no answer; they count as 0."


def _shuffled_remarks(rows: Sequence[Row]) -> Iterator[str]:
    if any("shuffled" in row for row in rows):
        alone = sum(not row.get("shuffled", True) for row in rows)
        yield (
            "Regions are shuffled: each marks another object than the one that its mask is "
            f"measured against. Left out, as they show one object alone: {alone} images."
        )
