"""Calls of superlink as instances and keypoints of an image stream."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from superlink.data import known_keypoints
from superlink.errors import InputError
from superlink.interfaces import CallInput, Geometry, KeypointSet

__all__ = ["KEYPOINT_TOKEN", "asked_keypoints", "instance_call", "keypoint_targets"]

KEYPOINT_TOKEN = "[KPT]"
_BOX_SHARE = 0.53
"""Of a box that a person or an animal covers, where no area is known: what mmpose assumes for data
sets without masks."""


def instance_call(call: CallInput) -> CallInput:
    """The call with its routes of instances alone, those before its keypoints.

    Raises:
        InputError: There is none.
    """
    routes = [
        (token, phrase)
        for token, phrase in zip(call.tokens, call.phrases, strict=True)
        if token != KEYPOINT_TOKEN
    ]
    if not routes:
        raise InputError(
            "Keypoints are those of something: a call needs a [POSE] before its [KPT]. "
            f"Received: tokens={call.tokens}, key={call.key!r}"
        )
    tokens, phrases = zip(*routes, strict=True)
    return CallInput(call.image, call.geometry, call.target, tokens, phrases, call.key)


def asked_keypoints(call: CallInput) -> KeypointSet:
    """The keypoints that a call asks for, in the order of its routes; a request may have none.

    Of a name that comes twice, as an LLM may write it, the second one is numbered: `nose (2)`.
    """
    routes = zip(call.tokens, call.phrases, strict=True)
    return known_keypoints([phrase for token, phrase in routes if token == KEYPOINT_TOKEN])


def keypoint_targets(call: CallInput, geometry: Geometry, seen: Tensor) -> dict[str, Tensor]:
    """The keypoints of a target in pixels of the stream.

    Args:
        call: The call.
        geometry: The map to the stream.
        seen: (n,) the target's instances that are still in the stream: N of them.

    Returns:
        `keypoints` (N, K, 2); `labelled` (N, K) 1 where one is labelled and in the stream, else 0;
        `units` (N, K) pixels of one deviation of OKS; `sizes` (N,) square roots of areas.

    Raises:
        InputError: The target lacks keypoints, or holds some that do not fit.
    """
    target, number = call.target or {}, call.tokens.count(KEYPOINT_TOKEN)
    sizes = _sizes(target, geometry)[seen]
    if number and len(seen) and not {"keypoints", "keypoints_visible"} <= set(target):
        raise InputError(
            "A target with instances needs keypoints (N, K, 2) and keypoints_visible (N, K) where "
            f"keypoints are asked for. Received: {sorted(target)}, key={call.key!r}"
        )
    shape = (len(seen), number)
    points = torch.as_tensor(target.get("keypoints", torch.zeros(*shape, 2))).float()
    visible = torch.as_tensor(target.get("keypoints_visible", torch.zeros(shape)))
    if not len(seen) or not number:
        points, visible = points.new_zeros(*shape, 2), visible.new_zeros(shape)
    if points.shape != (*shape, 2) or visible.shape != shape:
        raise InputError(
            f"{len(seen)} instances and {number} keypoints need keypoints {(*shape, 2)} and "
            f"keypoints_visible {shape}. Received: {tuple(points.shape)} and "
            f"{tuple(visible.shape)}, key={call.key!r}"
        )
    labelled = visible > 0
    if not points[labelled].isfinite().all():
        raise InputError(
            "Labelled keypoints must be finite: repair the annotation, or set their visibility to "
            f"0. Received: NaN or infinite ones, key={call.key!r}"
        )
    points = geometry.points_to_stream(torch.where(labelled[..., None], points, 0.0))[seen]
    height, width = geometry.size
    inside = (points >= 0).all(-1) & (points <= points.new_tensor([width, height])).all(-1)
    return {
        "keypoints": points,
        "labelled": (labelled[seen] & inside).float(),
        "units": 2 * _sigmas(target, number) * sizes[:, None],
        "sizes": sizes,
    }


def _sizes(target: Any, geometry: Geometry) -> Tensor:
    """The square roots of the areas of instances (n,) in pixels of the stream, 1 at least."""
    bboxes = torch.as_tensor(target.get("bboxes", []), dtype=torch.float32).reshape(-1, 4)
    stream = geometry.boxes_to_stream(bboxes)
    boxes = [(one[:, 2:] - one[:, :2]).abs().prod(-1) for one in (bboxes, stream)]
    areas = target.get("areas")
    covered = boxes[0] * _BOX_SHARE if areas is None else torch.as_tensor(areas).float()
    return (covered * boxes[1] / boxes[0].clamp(min=1e-6)).clamp(min=1).sqrt()


def _sigmas(target: Any, number: int) -> Tensor:
    """(K,) how far annotators differ."""
    known: KeypointSet | None = target.get("keypoint_set")
    if known is None:
        known = KeypointSet(tuple(map(str, range(number))))
    if len(known) != number:
        raise InputError(
            f"{number} keypoints are asked for. Received: a keypoint_set of {len(known)}"
        )
    return torch.tensor(known.sigmas)
