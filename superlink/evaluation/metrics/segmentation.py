"""Semantic segmentation: label maps, pixels per class, and the metrics over them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from .overlap import iou

__all__ = ["ClassPixels", "count_pixels", "label_map", "segmentation_metrics"]

Labels = npt.NDArray[np.int64]
ClassPixels = Mapping[str, Sequence[int]]
"""Class to its pixels: in the intersection, in the union, in the truth."""


def label_map(
    masks: Sequence[npt.NDArray[Any]] | npt.NDArray[Any],
    labels: Sequence[int],
    scores: Sequence[float],
    size: tuple[int, int],
) -> Labels:
    """Each pixel's label of the highest score, as (H, W); -1 where no mask is.

    Args:
        masks: (N, H, W), bool or above 0.5 where true.
        labels: Of each mask, from 0 on.
        scores: Of each mask; the first of equal ones wins.
        size: (H, W).
    """
    merged = np.full(size, -1, np.int64)
    for index in np.argsort(-np.asarray(scores, np.float64), kind="stable")[::-1]:
        merged[masks[index] > 0.5] = labels[index]
    return merged


def count_pixels(
    predicted: Labels,
    truth: Labels,
    names: Sequence[str],
    void: npt.NDArray[np.bool_] | None = None,
) -> dict[str, list[int]]:
    """The pixels of the classes that occur in one image.

    Args:
        predicted: (H, W) labels, -1 for none.
        truth: (H, W) labels, -1 for none.
        names: The class of each label.
        void: (H, W), true on the pixels that are left out.
    """
    known = np.ones(truth.shape, np.bool_) if void is None else ~void
    shared, found, meant = (
        np.bincount(labels[known & (labels >= 0)], minlength=len(names))
        for labels in (np.where(predicted == truth, truth, -1), predicted, truth)
    )
    union = found + meant - shared
    return {
        name: [int(shared[label]), int(union[label]), int(meant[label])]
        for label, name in enumerate(names)
        if union[label]
    }


def segmentation_metrics(images: Iterable[ClassPixels]) -> dict[str, float]:
    """Measure all pixels of a set together.

    Returns:
        `mIoU`, the mean over the classes that are annotated or predicted anywhere;
        `mean_accuracy`, the mean over the annotated classes of the share of their pixels that are
        right; `pixel_accuracy`, that share of all annotated pixels.

    Raises:
        InputError: No pixel is annotated.
    """
    sums: dict[str, npt.NDArray[np.int64]] = {}
    for image in images:
        for name, pixels in image.items():
            sums[name] = sums.get(name, np.zeros(3, np.int64)) + np.asarray(pixels, np.int64)
    meant = [value for value in sums.values() if value[2]]
    if not meant:
        raise InputError("Segmentation needs at least one annotated pixel. Received: none")
    shared, _, whole = np.sum(meant, axis=0)
    return {
        "mIoU": float(np.mean([iou(inside, union) for inside, union, _ in sums.values()])),
        "mean_accuracy": float(np.mean([inside / own for inside, _, own in meant])),
        "pixel_accuracy": float(shared / whole),
    }
