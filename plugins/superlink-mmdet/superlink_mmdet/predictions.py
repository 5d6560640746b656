"""The outputs of the box head as predictions in pixels of the original image."""

from __future__ import annotations

import torch
from torch import Tensor

from superlink.interfaces import Geometry, InstancePrediction

from .config import GroundingDinoConfig
from .library import batched_nms

__all__ = ["instances"]


def instances(
    logits: Tensor,
    boxes: Tensor,
    geometry: Geometry,
    phrases: tuple[str, ...],
    config: GroundingDinoConfig,
) -> InstancePrediction:
    """The instances of one call, best first.

    Args:
        logits: (queries, R) one column for each real route.
        boxes: (queries, 4) cx, cy, w, h as shares of the stream.
        geometry: The stream's map.
        phrases: The phrase of each route.
        config: Threshold, overlap and number of instances.
    """
    scores, index = logits.sigmoid().flatten().sort(descending=True, stable=True)
    labels = index % logits.shape[1]
    bboxes = _pixels(boxes, geometry)[index // logits.shape[1]]
    # A box outside of a cropped stream's original has no area.
    seen = (bboxes[:, 2:] > bboxes[:, :2]).all(-1) & (scores >= config.score_threshold)
    found = InstancePrediction(bboxes, scores, labels, phrases).select(seen)
    if config.nms_iou is not None and len(found.scores):
        overlap = {"type": "nms", "iou_threshold": config.nms_iou}
        found = found.select(batched_nms(found.bboxes, found.scores, found.labels, overlap)[1])
    return found.select(torch.arange(min(len(found.scores), config.max_per_image)))


def _pixels(boxes: Tensor, geometry: Geometry) -> Tensor:
    """Boxes (N, 4) as shares of the stream, as x1, y1, x2, y2 in pixels of the original image."""
    centre, size = boxes.split(2, dim=-1)
    height, width = geometry.size
    corners = torch.cat([centre - size / 2, centre + size / 2], dim=-1)
    return geometry.boxes_to_original(corners * corners.new_tensor([width, height] * 2))
