"""The outputs of the head as poses in pixels of the original image."""

from __future__ import annotations

from torch import Tensor

from superlink.interfaces import Geometry, InstancePrediction, KeypointSet
from superlink_mmdet.library import batched_nms
from superlink_mmdet.matching import box_corners

from .config import GroupPoseConfig

__all__ = ["poses"]


def poses(
    logits: Tensor,
    boxes: Tensor,
    keypoints: Tensor,
    keypoint_logits: Tensor,
    geometry: Geometry,
    phrases: tuple[str, ...],
    known: KeypointSet,
    config: GroupPoseConfig,
) -> InstancePrediction:
    """The instances of one call, best first.

    An instance scores what its class does, times the mean score of its keypoints.

    Args:
        logits: (G, P) one column for each route of instances.
        boxes: (G, 4) cx, cy, w, h as shares of the stream.
        keypoints: (G, K, 2) x, y as shares of the stream.
        keypoint_logits: (G, K).
        geometry: The stream's map.
        phrases: The phrase of each route of the call.
        known: The K keypoints.
        config: Threshold, overlap and number of instances.
    """
    height, width = geometry.size
    size = boxes.new_tensor([width, height])
    scores = keypoint_logits.sigmoid()
    certainty = scores.mean(1) if scores.shape[1] else scores.new_ones(len(scores))
    best, labels = logits.sigmoid().max(dim=1)
    total, order = (best * certainty).sort(descending=True, stable=True)
    every = InstancePrediction(
        bboxes=geometry.boxes_to_original(box_corners(boxes) * size.repeat(2))[order],
        scores=total,
        labels=labels[order],
        phrases=phrases,
        keypoints=geometry.points_to_original(keypoints * size)[order],
        keypoint_scores=scores[order],
        keypoint_set=known,
    )
    # A box outside of a cropped stream's original has no area.
    seen = (every.bboxes[:, 2:] > every.bboxes[:, :2]).all(-1)
    kept = (seen & (total >= config.score_threshold)).nonzero()[:, 0]
    if config.nms_iou is not None and len(kept):
        rest = every.select(kept)
        overlap = {"type": "nms", "iou_threshold": config.nms_iou}
        kept = kept[batched_nms(rest.bboxes, rest.scores, rest.labels, overlap)[1]]
    return every.select(kept[: config.max_per_image])
