"""What was found as poses in pixels of the original image."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from superlink.interfaces import Geometry, InstancePrediction, KeypointSet
from superlink_mmdet.predictions import kept_instances, pixel_boxes

from .config import GroupPoseConfig

__all__ = ["poses", "with_keypoints"]


def with_keypoints(
    found: InstancePrediction,
    keypoints: Tensor,
    scores: Tensor,
    geometry: Geometry,
    known: KeypointSet,
) -> InstancePrediction:
    """Instances with their keypoints, each with its score times the mean score of its keypoints.

    Args:
        found: N boxes with their scores.
        keypoints: (N, K, 2) in pixels of the stream.
        scores: (N, K) of the keypoints.
        geometry: The stream's map.
        known: The K keypoints.
    """
    certainty = scores.mean(1) if scores.shape[1] else scores.new_ones(len(scores))
    return replace(
        found,
        scores=found.scores * certainty,
        keypoints=geometry.points_to_original(keypoints),
        keypoint_scores=scores,
        keypoint_set=known,
    )


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
    size = boxes.new_tensor(geometry.size[::-1])
    best, labels = logits.sigmoid().max(dim=1)
    found = InstancePrediction(pixel_boxes(boxes, geometry), best, labels, phrases)
    every = with_keypoints(found, keypoints * size, keypoint_logits.sigmoid(), geometry, known)
    every = every.select(every.scores.argsort(descending=True, stable=True))
    return every.select(kept_instances(every, config))
