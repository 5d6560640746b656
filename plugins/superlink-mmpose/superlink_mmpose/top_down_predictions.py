"""Boxes and what was read in their crops as poses in pixels of the original image."""

from __future__ import annotations

from torch import Tensor

from superlink.interfaces import Geometry, InstancePrediction, KeypointSet

from .predictions import with_keypoints

__all__ = ["posed"]


def posed(
    found: InstancePrediction,
    keypoints: Tensor,
    scores: Tensor,
    geometry: Geometry,
    known: KeypointSet,
    threshold: float,
) -> InstancePrediction:
    """Boxes with their keypoints as `with_keypoints` scores them, best first.

    Args:
        found: N boxes with their scores.
        keypoints: (N, K, 2) in pixels of the stream.
        scores: (N, K) of the keypoints.
        geometry: The stream's map.
        known: The K keypoints.
        threshold: Boxes that score less are left out.
    """
    every = with_keypoints(found, keypoints, scores, geometry, known)
    order = every.scores.argsort(descending=True, stable=True)
    return every.select(order[found.scores[order] >= threshold])
