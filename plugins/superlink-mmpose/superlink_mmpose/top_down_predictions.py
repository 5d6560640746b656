"""Boxes and what was read in their crops as poses in pixels of the original image."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from superlink.interfaces import Geometry, InstancePrediction, KeypointSet

__all__ = ["posed"]


def posed(
    found: InstancePrediction,
    keypoints: Tensor,
    scores: Tensor,
    geometry: Geometry,
    known: KeypointSet,
    threshold: float,
) -> InstancePrediction:
    """Boxes with their keypoints, best first.

    An instance scores what its box does, times the mean score of its keypoints.

    Args:
        found: N boxes with their scores.
        keypoints: (N, K, 2) in pixels of the stream.
        scores: (N, K) of the keypoints.
        geometry: The stream's map.
        known: The K keypoints.
        threshold: Boxes that score less are left out.
    """
    certainty = scores.mean(1) if scores.shape[1] else scores.new_ones(len(scores))
    every = replace(
        found,
        scores=found.scores * certainty,
        keypoints=geometry.points_to_original(keypoints),
        keypoint_scores=scores,
        keypoint_set=known,
    )
    order = every.scores.argsort(descending=True, stable=True)
    return every.select(order[found.scores[order] >= threshold])
