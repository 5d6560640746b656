"""The outputs of the head as predictions in pixels of the original image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from superlink.interfaces import Geometry, InstancePrediction

from .config import QueryDetectorConfig
from .library import batched_nms

__all__ = ["instances", "kept_instances", "pixel_boxes"]


def instances(
    logits: Tensor,
    boxes: Tensor,
    geometry: Geometry,
    phrases: tuple[str, ...],
    config: QueryDetectorConfig,
    masks_of: Callable[[Tensor], Tensor] | None = None,
) -> InstancePrediction:
    """The instances of one call, best first.

    Args:
        logits: (queries, R) one column for each real route.
        boxes: (queries, 4) cx, cy, w, h as shares of the stream.
        geometry: The stream's map.
        phrases: The phrase of each route.
        config: Threshold, overlap and number of instances.
        masks_of: Gives the masks (N, H, W) of N queries, asked once and for what is kept alone.
    """
    scores, index = logits.sigmoid().flatten().sort(descending=True, stable=True)
    queries, labels = index // logits.shape[1], index % logits.shape[1]
    every = InstancePrediction(pixel_boxes(boxes, geometry)[queries], scores, labels, phrases)
    kept = kept_instances(every, config)
    found = every.select(kept)
    return found if masks_of is None else replace(found, masks=masks_of(queries[kept]))


def kept_instances(found: InstancePrediction, config: QueryDetectorConfig) -> Tensor:
    """The indices of the instances to show."""
    # A box outside of a cropped stream's original has no area.
    seen = (found.bboxes[:, 2:] > found.bboxes[:, :2]).all(-1)
    kept = (seen & (found.scores >= config.score_threshold)).nonzero()[:, 0]
    if config.nms_iou is not None and len(kept):
        rest = found.select(kept)
        overlap = {"type": "nms", "iou_threshold": config.nms_iou}
        kept = kept[batched_nms(rest.bboxes, rest.scores, rest.labels, overlap)[1]]
    return kept[: config.max_per_image]


def pixel_boxes(boxes: Tensor, geometry: Geometry) -> Tensor:
    """Boxes (N, 4) as shares of the stream, as x1, y1, x2, y2 in pixels of the original image."""
    centre, size = boxes.split(2, dim=-1)
    height, width = geometry.size
    corners = torch.cat([centre - size / 2, centre + size / 2], dim=-1)
    return geometry.boxes_to_original(corners * corners.new_tensor([width, height] * 2))
