"""How near keypoints are: COCO's average precision by OKS, PCK, and errors in pixels.

Instances of one class have the same keypoints; a found one that lacks a point has NaN in its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .average_precision import Instance, average_precision, mean_over_sets
from .overlap import pair_boxes

__all__ = ["BOX_SHARE", "keypoint_precision", "point_errors", "point_metrics"]

BOX_SHARE = 0.53
"""Of its box that an object is taken to cover where its area is not known, as CrowdPose has it."""
_FAR = 1e9
"""Pixels to a point that was not found: its similarity is 0."""


def keypoint_precision(
    truths: Sequence[Instance],
    found: Sequence[Instance],
    num_images: int,
    sigmas: Mapping[str, Sequence[float]],
) -> dict[str, float]:
    """COCO's average precision by OKS, each class with its own keypoints.

    Args:
        truths: With keypoints; one of which none is labelled is neither right nor wrong to find.
            Without an area it has `BOX_SHARE` of its box.
        found: With keypoints. As in COCO, its area is that of the box around its points.
        num_images: How many images there are.
        sigmas: By class, (K,) of its keypoints.

    Returns:
        Those of `average_precision`, each the mean over the classes that have it: as pycocotools
        has it where all classes have the same keypoints. Empty where no keypoint is labelled.
    """
    parts = {}
    for name, values in sigmas.items():
        mine = [_with_area(truth) for truth in truths if truth.category == name]
        if any(_counts(truth) for truth in mine):
            rivals = [_placed(item) for item in found if item.category == name]
            parts[name] = average_precision(mine, rivals, num_images, "OKS", sigmas=values)
    return {key: value for key, value in mean_over_sets(parts).items() if "/" not in key}


def point_errors(
    truths: Sequence[Instance],
    found: Sequence[Instance],
    eyes: Mapping[str, tuple[int, int]] | None = None,
) -> npt.NDArray[np.float64]:
    """How far each labelled keypoint was missed.

    Found instances choose truths of their image and class, see `pair_boxes`.

    Args:
        truths: What is annotated; crowds and points that are not labelled do not count.
        found: What was found.
        eyes: By class, the places of the outer eye corners: the size of a face is their distance.

    Returns:
        (P, 3) for each labelled point its distance in pixels, NaN where it was not found; the
        longer side of its box; and the size of its instance, the square root of the area of its box
        or what `eyes` says.
    """
    parts: list[Any] = [np.zeros((0, 3))]
    rivals = _by_place(found)
    for place, mine in _by_place([truth for truth in truths if not truth.ignored]).items():
        best = sorted(rivals.get(place, []), key=lambda item: -item.score)
        pairs = pair_boxes([t.bbox for t in mine], [item.bbox for item in best])
        corners = (eyes or {}).get(place[1])
        for truth, index in zip(mine, pairs, strict=True):
            parts.append(_errors(truth, best[index] if index >= 0 else None, corners))
    joined: npt.NDArray[np.float64] = np.concatenate(parts)
    return joined


def point_metrics(errors: npt.NDArray[np.float64]) -> dict[str, float]:
    """What `point_errors` (P, 3) come to.

    Returns:
        `PCK@0.1` and `PCK@0.2`, the share of labelled points that were found no farther away than
        that share of the longer side of their box; of the points that were found, `NME`, the mean
        distance over the size of the instance, and `median_error_px`. Empty without a labelled
        point, and the last two are left out where none was found.
    """
    if not len(errors):
        return {}
    pixels, sides, sizes = errors.T
    metrics = {f"PCK@{share}": float(np.mean(pixels <= share * sides)) for share in (0.1, 0.2)}
    hit = np.isfinite(pixels)
    if hit.any():
        metrics["NME"] = float(np.mean(pixels[hit] / sizes[hit]))
        metrics["median_error_px"] = float(np.median(pixels[hit]))
    return metrics


def _counts(truth: Instance) -> bool:
    labelled = any(v > 0 for _, _, v in truth.keypoints or ())
    return not truth.ignored and labelled and truth.num_keypoints != 0


def _with_area(truth: Instance) -> Instance:
    x1, y1, x2, y2 = truth.bbox
    return (
        truth if truth.area is not None else replace(truth, area=BOX_SHARE * (x2 - x1) * (y2 - y1))
    )


def _placed(item: Instance) -> Instance:
    """A found instance with its missing points far away, and the area that the others span."""
    points = np.array(item.keypoints, np.float64)  # (K, 3)
    there = points[np.isfinite(points).all(axis=1), :2]
    area = float(np.ptp(there, axis=0).prod()) if len(there) else 0.0
    return replace(item, keypoints=np.nan_to_num(points, nan=_FAR).tolist(), area=area)


def _by_place(items: Sequence[Instance]) -> dict[tuple[int, str], list[Instance]]:
    """Instances by image and class."""
    places: dict[tuple[int, str], list[Instance]] = {}
    for item in items:
        places.setdefault((item.image, item.category), []).append(item)
    return places


def _errors(
    truth: Instance, found: Instance | None, eyes: tuple[int, int] | None
) -> npt.NDArray[np.float64]:
    """(P, 3) of one truth; see `point_errors`."""
    points = np.asarray(truth.keypoints, np.float64)  # (K, 3)
    labelled = points[:, 2] > 0
    places = np.full_like(points, np.nan) if found is None else np.asarray(found.keypoints)
    pixels = np.hypot(*(places - points)[labelled, :2].T)  # (P,)
    width, height = np.subtract(truth.bbox[2:], truth.bbox[:2])
    size = np.sqrt(width * height)
    if eyes is not None and labelled[[*eyes]].all():
        size = np.hypot(*(points[eyes[0]] - points[eyes[1]])[:2]) or size
    sides = np.broadcast_to([max(width, height), size], (len(pixels), 2))
    return np.concatenate([pixels[:, None], sides], axis=1)
