"""Which queries stand for which people and animals, told by their keypoints as well."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from superlink_mmdet.library import InstanceData
from superlink_mmdet.matching import Layer, Targets, box_corners
from superlink_mmdet.pairs import Pairs

from .config import GroupPoseConfig

__all__ = ["KeypointCost", "PoseLayer", "SimilarityCost", "match_poses", "pose_costs"]


@dataclass(frozen=True)
class PoseLayer(Layer):
    """What a layer makes of its object queries, each with keypoints."""

    keypoints: Tensor = field(kw_only=True)
    """(B, Q, K, 2) x, y as shares of the image, padded."""

    def part(self, queries: slice) -> PoseLayer:
        """The same of some queries."""
        some = super().part(queries)
        return PoseLayer(some.logits, some.boxes, keypoints=self.keypoints[:, queries])


class KeypointCost:
    """The mean distance of labelled keypoints, in units of the square root of the area."""

    def __init__(self, weight: float) -> None:
        self.weight = weight

    def __call__(
        self, pred_instances: InstanceData, gt_instances: InstanceData, **ignored: Any
    ) -> Tensor:
        """The cost (Q, N) of `keypoints` (Q, K, 2) and (N, K, 2) in pixels."""
        gaps = (pred_instances.keypoints[:, None] - gt_instances.keypoints).abs().sum(-1)
        return self.weight * _mean(gaps / gt_instances.sizes[:, None], gt_instances.labelled)


class SimilarityCost:
    """What object keypoint similarity leaves to 1; 0 where no keypoint is labelled."""

    def __init__(self, weight: float) -> None:
        self.weight = weight

    def __call__(
        self, pred_instances: InstanceData, gt_instances: InstanceData, **ignored: Any
    ) -> Tensor:
        """The cost (Q, N) of `keypoints` (Q, K, 2) and (N, K, 2) in pixels."""
        gaps = (pred_instances.keypoints[:, None] - gt_instances.keypoints).norm(dim=-1)
        similar = (-((gaps / gt_instances.units) ** 2) / 2).exp()
        return self.weight * _mean(1 - similar, gt_instances.labelled)


def pose_costs(config: GroupPoseConfig) -> list[dict[str, Any]]:
    """The costs of keypoints in mmdet's words."""
    return [
        {"type": KeypointCost, "weight": config.match_keypoints},
        {"type": SimilarityCost, "weight": config.match_oks},
    ]


@torch.no_grad()
def match_poses(layer: PoseLayer, targets: Targets, assigner: Any) -> Pairs:
    """Give each target the query that fits it best, as `match` does, by its keypoints too."""
    corners = box_corners(layer.boxes) * targets.sizes[:, None]
    points = layer.keypoints * targets.sizes[:, None, None, :2]
    queries, found = [], []
    for image, wanted in enumerate(targets.instances):
        predicted = InstanceData(
            scores=layer.logits[image],
            bboxes=corners[image],
            keypoints=points[image, :, : wanted.keypoints.shape[1]],
        )
        meta = {"img_shape": targets.shapes[image]}
        indices = assigner.assign(predicted, wanted, meta).gt_inds  # (Q,) from 1 on, 0 for none
        queries.append(indices.nonzero()[:, 0])
        found.append(indices[queries[-1]] - 1)
    return Pairs(tuple(queries), tuple(found))


def _mean(values: Tensor, labelled: Tensor) -> Tensor:
    """The mean (Q, N) of values (Q, N, K) over labelled keypoints (N, K), 0 over none."""
    return (values * labelled).sum(-1) / labelled.sum(-1).clamp(min=1)
