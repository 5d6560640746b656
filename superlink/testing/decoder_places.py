"""The same prediction in other pixels: mirrored, scaled, with its routes in another order."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..interfaces import InstancePrediction, Prediction
from .checks import NotApplicable

__all__ = ["mirrored", "num_places", "outside", "relabelled", "scaled", "without_keypoints"]

_PLACES = ("bboxes", "points", "keypoints", "masks")
"""Attributes of a prediction that hold pixels of the original image."""


def places(prediction: Prediction) -> dict[str, Tensor]:
    """What of a prediction holds pixels of the original image."""
    found = {name: getattr(prediction, name, None) for name in _PLACES}
    return {name: value for name, value in found.items() if isinstance(value, Tensor)}


def num_places(predictions: Sequence[Prediction]) -> int:
    """How many boxes, points and masks there are to look at.

    Raises:
        NotApplicable: There is none.
    """
    count = sum(len(value) for p in predictions for value in places(p).values())
    if not count:
        names = ", ".join(_PLACES)
        raise NotApplicable(f"the predictions hold nothing in pixels: {names} are looked for")
    return count


def outside(prediction: Prediction, size: tuple[int, int], names: Sequence[str]) -> float:
    """How far, in pixels, what `names` of boxes and points lies outside of an image of `size`
    (height, width); infinite where a mask has another size, or a box is turned over."""
    height, width = size
    found, far = places(prediction), [0.0]
    if "masks" in found and len(found["masks"]):
        far.append(0.0 if tuple(found["masks"].shape[-2:]) == size else float("inf"))
    for name in names:
        corners = found.get(name, torch.zeros(0, 2)).float().reshape(-1, 2)  # x, y
        over = torch.cat([-corners, corners - corners.new_tensor([width, height])])
        far += over.nan_to_num(nan=float("inf")).flatten().tolist()
    x1, y1, x2, y2 = found.get("bboxes", torch.zeros(0, 4)).unbind(-1)
    far += [float("inf")] * int(((x2 < x1) | (y2 < y1)).any())
    return max(far)


def relabelled(prediction: InstancePrediction, order: Sequence[int]) -> InstancePrediction:
    """What a call whose new route `i` is the old `order[i]` says of the old routes."""
    moved = tuple(prediction.phrases[order.index(old)] for old in range(len(order)))
    phrases = moved + prediction.phrases[len(order) :]
    labels = torch.tensor(order, device=prediction.labels.device)[prediction.labels]
    return dataclasses.replace(prediction, labels=labels, phrases=phrases)


def mirrored(prediction: Prediction, width: int) -> Prediction:
    """The same places in the mirrored image; keypoints, whose sides have names, are left out."""
    moved = places(prediction)
    moved.pop("keypoints", None)
    if "bboxes" in moved:
        x1, y1, x2, y2 = moved["bboxes"].unbind(-1)
        moved["bboxes"] = torch.stack([width - x2, y1, width - x1, y2], dim=-1)
    if "points" in moved:
        x, y = moved["points"].unbind(-1)
        moved["points"] = torch.stack([width - x, y], dim=-1)
    if "masks" in moved:
        moved["masks"] = moved["masks"].flip(-1)
    return without_keypoints(_replace(prediction, moved))


def scaled(prediction: Prediction, factor: int) -> Prediction:
    """The same places in an image that is larger by `factor`."""
    moved = places(prediction)
    for name, value in moved.items():
        if name == "masks":
            moved[name] = value.repeat_interleave(factor, -1).repeat_interleave(factor, -2)
        else:
            moved[name] = value * factor
    return _replace(prediction, moved)


def without_keypoints(prediction: Prediction) -> Prediction:
    """The prediction without what a flip gives other names."""
    if not isinstance(prediction, InstancePrediction):
        return prediction
    return dataclasses.replace(prediction, keypoints=None, keypoint_scores=None)


def _replace(prediction: Any, moved: Mapping[str, Tensor]) -> Prediction:
    if not dataclasses.is_dataclass(prediction):
        raise NotApplicable("only a prediction that is a dataclass can be moved to other pixels")
    changed: Any = dataclasses.replace(prediction, **moved)  # type: ignore[type-var]
    result: Prediction = changed
    return result
