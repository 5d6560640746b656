"""How far results of a task decoder are apart, and whether values hold the same bits."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..interfaces import InstancePrediction, LossTerm, Prediction

__all__ = ["identical", "loss_gap", "loss_gaps", "prediction_gap", "total"]

_FAR = float("inf")


def total(losses: Mapping[str, LossTerm]) -> Tensor:
    """The sum of all losses."""
    return torch.stack([value.float() for value, _ in losses.values()]).sum()


def loss_gap(left: Mapping[str, LossTerm], right: Mapping[str, LossTerm]) -> float:
    """The largest of `loss_gaps`."""
    return max(loss_gaps(left, right).values())


def loss_gaps(
    left: Mapping[str, LossTerm], right: Mapping[str, LossTerm], smallest: float = 1.0
) -> dict[str, float]:
    """For each loss the difference of its sums or of its counts, the larger one, relative where
    they exceed `smallest`; a loss that one side lacks is zero there."""
    zero = (torch.zeros(()), 0.0)
    pairs = {name: (left.get(name, zero), right.get(name, zero)) for name in [*left, *right]}
    return {
        name: max(_gap(float(a[part]), float(b[part]), smallest) for part in (0, 1))
        for name, (a, b) in pairs.items()
    }


def prediction_gap(left: Prediction, right: Prediction) -> float:
    """The largest difference of two predictions, in units of their largest value where that exceeds
    1; infinite where they hold other things.

    Instances of one route are a set: each is compared with the nearest one of the other side.
    """
    if isinstance(left, InstancePrediction) and isinstance(right, InstancePrediction):
        return _instances_gap(left, right)
    return _gap(_fields(left), _fields(right)) if type(left) is type(right) else _FAR


def identical(left: Any, right: Any) -> bool:
    """Whether two values hold the same bits: tensors, arrays, pictures, and what holds them."""
    if type(left) is not type(right):
        return False
    if isinstance(left, Tensor):
        if left.shape != right.shape or left.dtype != right.dtype:
            return False
        return bool(((left == right) | ((left != left) & (right != right))).all())
    if isinstance(left, np.ndarray):
        return left.shape == right.shape and bool(left.tobytes() == right.tobytes())
    if isinstance(left, Image.Image):
        return left.size == right.size and bool(left.tobytes() == right.tobytes())
    if isinstance(left, Mapping):
        return left.keys() == right.keys() and all(identical(left[k], right[k]) for k in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(identical, left, right))
    if dataclasses.is_dataclass(left) or isinstance(left, Prediction):
        return identical(_fields(left), _fields(right))
    return bool(left == right)


def _instances_gap(left: InstancePrediction, right: InstancePrediction) -> float:
    if left.phrases != right.phrases or len(left.labels) != len(right.labels):
        return _FAR
    scale = max([1.0, *right.bboxes.abs().flatten().tolist()])
    rows, others = _rows(left, scale), _rows(right, scale)
    gaps = [0.0]
    for label in {*left.labels.tolist(), *right.labels.tolist()}:
        mine = (left.labels == label).nonzero().flatten()
        theirs = (right.labels == label).nonzero().flatten().tolist()
        if len(mine) != len(theirs):
            return _FAR
        for index in mine.tolist():
            distances = (others[theirs] - rows[index]).abs().amax(-1)
            nearest = theirs.pop(int(distances.argmin()))
            gaps.append(float(distances.min()))
            if left.masks is not None and right.masks is not None:
                gaps.append(_gap(left.masks[index], right.masks[nearest]))
    return max(gaps) if (left.masks is None) == (right.masks is None) else _FAR


def _rows(prediction: InstancePrediction, scale: float) -> Tensor:
    """Boxes, scores and keypoints as one row for each instance."""
    parts = [prediction.bboxes / scale, prediction.scores[:, None]]
    if prediction.keypoints is not None:
        parts.append(prediction.keypoints.flatten(1) / scale)
    return torch.cat([part.float().nan_to_num(nan=_FAR) for part in parts], dim=-1)


def _fields(value: Any) -> dict[str, Any]:
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return dict(vars(value))


def _gap(left: Any, right: Any, smallest: float = 1.0) -> float:
    """The largest difference of two values of any kind; that of numbers is relative where they
    exceed `smallest`."""
    if isinstance(left, Image.Image | np.ndarray) and type(left) is type(right):
        left, right = torch.tensor(np.array(left)), torch.tensor(np.array(right))
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        return _tensors_gap(left.detach().cpu(), right.detach().cpu())
    if isinstance(left, int | float) and isinstance(right, int | float):
        return _tensors_gap(torch.tensor(float(left)), torch.tensor(float(right)), smallest)
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        left, right = [left, *left.values()], [right, *right.values()]
        return max([0.0, *map(_gap, left[1:], right[1:])]) if [*left[0]] == [*right[0]] else _FAR
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return max([0.0, *map(_gap, left, right)]) if len(left) == len(right) else _FAR
    return 0.0 if left == right else _FAR


def _tensors_gap(left: Tensor, right: Tensor, smallest: float = 1.0) -> float:
    if left.shape != right.shape or left.dtype != right.dtype:
        return _FAR
    if not left.numel():
        return 0.0
    if left.dtype == torch.bool:
        return float((left != right).float().mean())  # a share of the pixels
    apart = (left.double() - right.double()).abs().max()
    if left.dtype == torch.uint8:  # the last level may be rounded otherwise
        return float((apart - 1).clamp(min=0)) / 255
    gap = float(apart / right.double().abs().max().clamp(min=smallest))
    return gap if gap == gap else _FAR
