"""CrowdPose's metrics: how well people are posed in images that are more or less crowded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from .average_precision import Instance
from .keypoints import keypoint_precision

__all__ = ["CROWD_LEVELS", "crowd_index", "crowd_level", "crowdpose_metrics"]

CROWD_LEVELS = ("easy", "medium", "hard")
"""Images whose crowd index is below 0.2, below 0.8, and others."""
_BORDERS = (0.2, 0.8)
_KEPT = ("AP", "AP50", "AP75")


def crowd_index(people: Sequence[Instance]) -> float:
    """How crowded an image is (CrowdPose, arXiv 1812.00324).

    The mean over the people of how many labelled keypoints of others lie in their box, over the
    number of their own. Crowds, and people of whom no keypoint counts, are others alone. 0 where
    nobody else is there.
    """
    points = [np.reshape(item.keypoints or (), (-1, 3)) for item in people]
    labelled = [part[part[:, 2] > 0, :2] for part in points]
    shares = []
    for index, item in enumerate(people):
        if item.ignored or item.num_keypoints == 0 or not len(labelled[index]):
            continue
        low, high = np.asarray(item.bbox, np.float64).reshape(2, 2)
        others = np.concatenate([np.zeros((0, 2)), *labelled[:index], *labelled[index + 1 :]])
        inside = ((others >= low) & (others <= high)).all(axis=1)
        shares.append(inside.sum() / len(labelled[index]))
    return float(np.mean(shares)) if shares else 0.0


def crowd_level(index: float) -> str:
    """Which of `CROWD_LEVELS` an image with this crowd index belongs to."""
    return CROWD_LEVELS[sum(index >= border for border in _BORDERS)]


def crowdpose_metrics(
    truths: Sequence[Instance],
    found: Sequence[Instance],
    indices: Sequence[float],
    sigmas: Mapping[str, Sequence[float]],
) -> dict[str, float]:
    """CrowdPose's average precision, as its published code computes it.

    Areas are `BOX_SHARE` of the boxes, and there are no sizes. The paper's text draws the border of
    easy images at a crowd index of 0.1; the code, and so the published figures, at 0.2.

    Args:
        truths: People with keypoints; see `keypoint_precision`. `num_keypoints` is without head
            and neck.
        found: What was found.
        indices: The crowd index of each image.
        sigmas: By class, (K,) of its keypoints.

    Returns:
        `crowdpose_AP`, `crowdpose_AP50` and `crowdpose_AP75` over all images, and
        `crowdpose_AP_easy`, `crowdpose_AP_medium` and `crowdpose_AP_hard` over those of a level
        that show anybody who counts.
    """
    bare = [replace(truth, area=None) for truth in truths]
    whole = keypoint_precision(bare, found, len(indices), sigmas)
    metrics = {f"crowdpose_{name}": whole[f"OKS_{name}"] for name in _KEPT if whole}
    levels = [crowd_level(index) for index in indices]
    for level in CROWD_LEVELS:
        some, rivals = (
            [item for item in items if levels[item.image] == level] for items in (bare, found)
        )
        part = keypoint_precision(some, rivals, len(indices), sigmas)
        if part:
            metrics[f"crowdpose_AP_{level}"] = part["OKS_AP"]
    return metrics
