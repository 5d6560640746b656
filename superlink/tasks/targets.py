"""The targets of calls, made of annotated objects; all in pixels of the original image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..data.schema import AnnotatedObject
from ..errors import InputError

__all__ = ["ignored_target", "object_target"]


def object_target(
    objects: Sequence[AnnotatedObject],
    names: Sequence[str],
    labels: Sequence[int],
    *,
    size: tuple[int, int] | None = None,
    masks: bool | None = None,
) -> dict[str, Any]:
    """The target of a call whose routes bear `names`.

    Args:
        objects: N objects.
        names: One for each route.
        labels: For each object the index of its route.
        size: Height and width of the image.
        masks: Whether the data set has masks. None: it has where each of the objects has one, and
            at least one object is there.

    Returns:
        `bboxes` (N, 4), `labels` (N,), `names`; `size` where it is known; `masks` (N, H, W), also
        of no objects where `masks` is true; `areas` (N,) where every object states one;
        `keypoints` (N, K, 2) and `keypoints_visible` (N, K) where any object has them, with zeros
        for the others.

    Raises:
        InputError: Masks are wanted, and an object has none, or the size is unknown; objects have
            different numbers of keypoints.
    """
    target: dict[str, Any] = {
        "bboxes": _boxes(objects),
        "labels": torch.tensor(labels, dtype=torch.long),
        "names": tuple(names),
    }
    if size is not None:
        target["size"] = size
    if masks is None:
        masks = bool(objects) and all(item.mask is not None for item in objects)
    if masks:
        target["masks"] = _masks(objects, size)
    if objects and all(item.area is not None for item in objects):
        target["areas"] = _areas(objects)
    return {**target, **_keypoints(objects)}


def ignored_target(
    ignored: Sequence[AnnotatedObject], labels: Sequence[int], *, masks: bool | None = None
) -> dict[str, Any]:
    """What a target says of M regions that are neither right nor wrong to find.

    Returns:
        `ignored_bboxes` (M, 4), `ignored_labels` (M,), and where all regions have them
        `ignored_masks` (M, H, W) and `ignored_areas` (M,); nothing where there are no regions.
    """
    if not ignored:
        return {}
    target: dict[str, Any] = {
        "ignored_bboxes": _boxes(ignored),
        "ignored_labels": torch.tensor(labels, dtype=torch.long),
    }
    if masks is not False and all(item.mask is not None for item in ignored):
        target["ignored_masks"] = _masks(ignored, None)
    if all(item.area is not None for item in ignored):
        target["ignored_areas"] = _areas(ignored)
    return target


def _boxes(objects: Sequence[AnnotatedObject]) -> Tensor:
    return torch.tensor([item.bbox for item in objects], dtype=torch.float32).reshape(-1, 4)


def _areas(objects: Sequence[AnnotatedObject]) -> Tensor:
    return torch.tensor([item.area for item in objects], dtype=torch.float64)


def _masks(objects: Sequence[AnnotatedObject], size: tuple[int, int] | None) -> Tensor:
    """Masks (N, H, W)."""
    masks = [item.mask for item in objects if item.mask is not None]
    if len(masks) < len(objects) or not (masks or size):
        bare = sorted({item.name for item in objects if item.mask is None})
        raise InputError(
            "Masks are wanted, so that every object needs one, and an image without objects a "
            f"size. Received: no mask of {bare}, size={size}. Ask the reader for masks, or set "
            "masks=false."
        )
    return torch.from_numpy(np.stack(masks) if masks else np.zeros((0, *(size or ())), np.bool_))


def _keypoints(objects: Sequence[AnnotatedObject]) -> Mapping[str, Tensor]:
    """Keypoints of all objects in one tensor, zeros where an object has none."""
    known = {i: item.keypoints for i, item in enumerate(objects) if item.keypoints is not None}
    counts = {len(points) for points in known.values()}
    if not known:
        return {}
    if len(counts) > 1:
        raise InputError(
            "Objects of one image must have the same keypoints. "
            f"Received: {sorted(counts)} keypoints"
        )
    points = torch.zeros(len(objects), counts.pop(), 3)
    for index, value in known.items():
        points[index] = torch.from_numpy(value)
    return {"keypoints": points[..., :2], "keypoints_visible": points[..., 2]}
