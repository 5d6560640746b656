"""Calls of superlink as images, targets and data samples of mmdet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from superlink.errors import InputError
from superlink.interfaces import CallInput, Geometry

from .config import QueryDetectorConfig
from .library import DetDataSample, InstanceData
from .masks import mask_targets

__all__ = [
    "canvas_of",
    "data_sample",
    "image_tensor",
    "instance_targets",
    "set_targets",
    "stream_item",
    "stream_size",
]

Size = tuple[int, int]


def stream_size(size: Size, config: QueryDetectorConfig) -> Size:
    """The height and width that an image of `size` (height, width) gets in the stream."""
    if not config.keep_ratio:
        return config.image_size
    short, long = sorted(config.image_size)
    factor = min(short / min(size), long / max(size))
    # Multiples of the coarsest stride: every level has whole cells, and the geometry stays exact.
    height, width = (
        max(1, round(side * factor / config.size_divisor)) * config.size_divisor for side in size
    )
    return height, width


def stream_item(
    call: CallInput, config: QueryDetectorConfig, what: str, *, training: bool
) -> dict[str, Any]:
    """The image of a call as the stream has it; `what` needs it, as errors say.

    Returns:
        `geometry`, the map to the stream, and `image` (3, H, W) unless the features are shared.

    Raises:
        InputError: There is no image, or no target to train on.
    """
    if call.image is None or call.geometry is None:
        raise InputError(f"{what} needs an image. Received: none, key={call.key!r}")
    if training and call.target is None:
        raise InputError(
            f"Training needs a target, which may be empty. Received: None, key={call.key!r}"
        )
    size = stream_size((call.image.height, call.image.width), config)
    item: dict[str, Any] = {"geometry": call.geometry.resized(size)}
    if not config.shared_features:
        item["image"] = image_tensor(call.image, size, config)
    return item


def image_tensor(image: Image.Image, size: Size, config: QueryDetectorConfig) -> Tensor:
    """The image at `size` (height, width), normalised, as (3, H, W)."""
    resized = image.convert("RGB").resize(size[::-1], Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(resized, dtype=np.float32))  # (H, W, 3)
    mean, std = torch.tensor(config.pixel_mean), torch.tensor(config.pixel_std)
    return ((pixels - mean) / std).permute(2, 0, 1).contiguous()


def instance_targets(
    call: CallInput, geometry: Geometry, *, with_masks: bool = False
) -> dict[str, Tensor | None]:
    """The target of a call in pixels of the stream.

    Boxes are cut at the border of the stream; those that a crop has left outside are dropped.

    Args:
        call: The call.
        geometry: The map to the stream.
        with_masks: Whether to read masks.

    Returns:
        `bboxes` (N, 4) and `labels` (N,), the route of each; `seen`, a mask of the target's boxes
        that are still there; with masks also `masks` (N, H, W), or None where the target has none.

    Raises:
        InputError: The target lacks a key, or holds a value that no box, route or mask can have.
    """
    target = call.target or {}
    if missing := {"bboxes", "labels"} - set(target):
        raise InputError(
            "A target needs bboxes (N, 4) and labels (N,); both may be empty. "
            f"Received: no {sorted(missing)}, key={call.key!r}"
        )
    bboxes = torch.as_tensor(target["bboxes"], dtype=torch.float32)
    labels = torch.as_tensor(target["labels"])
    if not labels.numel():
        bboxes, labels = bboxes.reshape(-1, 4), labels.reshape(-1).long()
    _check_boxes(bboxes, call)
    _check_labels(labels, len(bboxes), call)
    height, width = geometry.size
    limits = bboxes.new_tensor([width, height, width, height])
    stream = torch.minimum(geometry.boxes_to_stream(bboxes).clamp(min=0), limits)
    visible = (stream[:, 2:] > stream[:, :2]).all(-1)
    targets: dict[str, Tensor | None] = {
        "bboxes": stream[visible],
        "labels": labels[visible].long(),
        "seen": visible,
    }
    if with_masks:
        targets["masks"] = mask_targets(call, geometry, visible)
    return targets


def _check_boxes(bboxes: Tensor, call: CallInput) -> None:
    if bboxes.dim() != 2 or bboxes.shape[1] != 4:
        raise InputError(
            "bboxes must be (N, 4): x1, y1, x2, y2 in pixels of the original image. "
            f"Received: shape={tuple(bboxes.shape)}, key={call.key!r}"
        )
    good = bboxes.isfinite().all(-1) & (bboxes[:, 2:] > bboxes[:, :2]).all(-1)
    if not good.all():
        raise InputError(
            "Every box must be finite, with x2 > x1 and y2 > y1: repair the annotation or leave "
            f"the box out. Received: bboxes={bboxes[~good].tolist()}, key={call.key!r}"
        )


def _check_labels(labels: Tensor, num_boxes: int, call: CallInput) -> None:
    if labels.shape != (num_boxes,) or labels.is_floating_point() or labels.dtype == torch.bool:
        raise InputError(
            f"labels must be {num_boxes} integers, one for each box. "
            f"Received: shape={tuple(labels.shape)}, dtype={labels.dtype}, key={call.key!r}"
        )
    wrong = (labels < 0) | (labels >= len(call.tokens))
    if wrong.any():
        raise InputError(
            f"labels are indices of the routes of their call, 0 to {len(call.tokens) - 1}. "
            f"Received: labels={labels[wrong].tolist()}, key={call.key!r}"
        )


def data_sample(geometry: Geometry, canvas: Size) -> DetDataSample:
    """What mmdet has to know of an image: its size within the padded `canvas` (height, width)."""
    return DetDataSample(metainfo={"img_shape": geometry.size, "batch_input_shape": canvas})


def set_targets(
    sample: DetDataSample, bboxes: Tensor, labels: Tensor, mask: Tensor, max_routes: int
) -> None:
    """Give `sample` its targets: boxes (N, 4) in pixels of the stream and routes (N,); `mask` (R,)
    tells the real routes."""
    sample.gt_instances = InstanceData(
        bboxes=bboxes,
        labels=labels,
        positive_maps=functional.one_hot(labels, max_routes).float(),
        text_token_mask=mask.expand(len(labels), -1),
    )


def canvas_of(geometries: Sequence[Geometry]) -> Size:
    """The smallest height and width that hold every image of a batch."""
    return max(g.size[0] for g in geometries), max(g.size[1] for g in geometries)
