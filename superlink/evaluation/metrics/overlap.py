"""How far boxes and masks overlap, and what follows for expressions that refer to a region."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "box_cover",
    "box_iou",
    "iou",
    "mask_overlap",
    "match_boxes",
    "matched_f1",
    "pair_boxes",
    "region_metrics",
]

Boxes = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def box_iou(first: Any, second: Any) -> Boxes:
    """Intersection over union of each pair of boxes, (N, 4) and (M, 4) to (N, M)."""
    shared, areas, others = _intersections(first, second)
    return _ratio(shared, areas[:, None] + others[None] - shared)


def box_cover(first: Any, second: Any) -> Boxes:
    """The share of each box of `first` (N, 4) that lies in each of `second` (M, 4), as (N, M)."""
    shared, areas, _ = _intersections(first, second)
    return _ratio(shared, np.broadcast_to(areas[:, None], shared.shape))


def match_boxes(truths: Any, ignored: Any, found: Any, threshold: float = 0.5) -> list[int]:
    """Give each found box the free truth that it overlaps most, the surest box first.

    Args:
        truths: (N, 4), each to be found once.
        ignored: (M, 4) regions; what lies in one and fits no free truth does not count.
        found: (P, 4), best first.
        threshold: What an IoU, or the share of a box that lies in a region, must exceed.

    Returns:
        For each found box 1 where it is right, 0 where it is wrong, -1 where it does not count.
    """
    overlaps = box_iou(found, truths)  # (P, N)
    covers = box_cover(found, ignored)  # (P, M)
    outcomes = []
    for row, cover in zip(overlaps, covers, strict=True):
        best = int(row.argmax()) if row.size else -1
        right = best >= 0 and bool(row[best] > threshold)
        if right:
            overlaps[:, best] = -1.0  # this truth is taken
        outcomes.append(1 if right else -int(cover.max(initial=0.0) > threshold))
    return outcomes


def pair_boxes(truths: Any, found: Any, threshold: float = 0.5) -> list[int]:
    """Give each truth (N, 4) one of the found boxes (P, 4), which choose in their order, the best
    first: each takes the free truth that it overlaps most, by an IoU of at least `threshold`.

    Returns:
        For each truth the index of its found box, or -1.
    """
    overlaps = box_iou(found, truths)  # (P, N)
    pairs = [-1] * len(truths)
    for index, row in enumerate(overlaps):
        best = int(row.argmax()) if row.size else -1
        if best >= 0 and row[best] >= threshold:
            pairs[best] = index
            overlaps[:, best] = -1.0  # this truth is taken
    return pairs


def matched_f1(truths: Any, ignored: Any, found: Any) -> float:
    """2 TP / (2 TP + FP + FN) of boxes at an IoU of 0.5; see `match_boxes`. 1 where nothing is
    annotated and nothing was found."""
    outcomes = match_boxes(truths, ignored, found)
    right, wrong = outcomes.count(1), outcomes.count(0)
    missed = len(truths) - right
    whole = 2 * right + wrong + missed
    return 2 * right / whole if whole else 1.0


def mask_overlap(first: Mask, second: Mask, void: Mask | None = None) -> tuple[int, int]:
    """Pixels of the intersection and of the union of two masks (H, W), those of `void` left out."""
    known = np.True_ if void is None else ~void
    return int((first & second & known).sum()), int(((first | second) & known).sum())


def iou(intersection: float, union: float) -> float:
    """Their ratio, and 1 where both regions are empty."""
    return intersection / union if union else 1.0


def region_metrics(
    overlaps: Sequence[tuple[int, int]], referring: Sequence[bool]
) -> dict[str, float]:
    """How well masks answer expressions.

    Args:
        overlaps: Intersection and union in pixels, for each expression.
        referring: Whether each refers to something; where one does not, and nothing was found, its
            IoU is 1 (gIoU of LISA, arXiv 2308.00692, and of GRES, arXiv 2306.00968).

    Returns:
        `cIoU`, the sum of all intersections over that of all unions; `gIoU`, the mean IoU of all
        expressions; `mIoU`, that of the referring ones, where there are any.
    """
    ious = [iou(*overlap) for overlap in overlaps]
    kept = [value for value, refers in zip(ious, referring, strict=True) if refers]
    found = {
        "cIoU": iou(sum(shared for shared, _ in overlaps), sum(whole for _, whole in overlaps)),
        "gIoU": float(np.mean(ious)),
    }
    return {**found, "mIoU": float(np.mean(kept))} if kept else found


def _intersections(first: Any, second: Any) -> tuple[Boxes, Boxes, Boxes]:
    """Shared areas (N, M), and the areas (N,) and (M,)."""
    one, other = (np.asarray(boxes, np.float64).reshape(-1, 4) for boxes in (first, second))
    low = np.maximum(one[:, None, :2], other[None, :, :2])  # (N, M, 2)
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    shared = (high - low).clip(0).prod(axis=2)
    areas, others = ((boxes[:, 2:] - boxes[:, :2]).clip(0).prod(axis=1) for boxes in (one, other))
    return shared, areas, others


def _ratio(part: Boxes, whole: Boxes) -> Boxes:
    """0 where a box has no area."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
