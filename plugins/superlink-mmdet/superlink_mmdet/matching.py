"""What one layer predicts, what a batch shall find, and which queries stand for which targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .library import DetDataSample, InstanceData
from .mask_branch import MaskPoints
from .pairs import Pairs
from .ragged import Size

__all__ = ["Layer", "Targets", "box_corners", "centred_boxes", "match"]


@dataclass(frozen=True)
class Layer:
    """What one layer makes of its object queries."""

    logits: Tensor
    """(B, Q, R), -inf at padded routes."""
    boxes: Tensor
    """(B, Q, 4) cx, cy, w, h as shares of the image."""
    masks: Tensor | None = None
    """(B, Q, C) embeddings of masks."""

    def part(self, queries: slice) -> Layer:
        """The same of some queries."""
        masks = None if self.masks is None else self.masks[:, queries]
        return Layer(self.logits[:, queries], self.boxes[:, queries], masks)


@dataclass(frozen=True)
class Targets:
    """What a batch shall find."""

    instances: tuple[InstanceData, ...]
    """For each image its N targets: `bboxes` (N, 4) in pixels of the stream, `labels` (N,), what
    the costs of the matching want of them, and `masks`, where there are some, at the first of
    `points`."""
    shapes: tuple[Size, ...]
    """Height and width of each image."""
    sizes: Tensor
    """(B, 4) width, height, width, height of each image."""
    routes: Tensor
    """(B, R) true for real routes."""
    points: MaskPoints | None
    """Where masks are compared, if they are."""

    @classmethod
    def of(
        cls, samples: Sequence[DetDataSample], routes: Tensor, points: MaskPoints | None
    ) -> Targets:
        """Those of a batch."""
        instances = [sample.gt_instances for sample in samples]
        if points is not None:
            seen = zip(instances, points.matched_truths(), strict=True)
            instances = [one if truth is None else _with_masks(one, truth) for one, truth in seen]
        shapes = tuple(sample.img_shape for sample in samples)
        sizes = torch.tensor(shapes, dtype=torch.float32, device=routes.device).flip(1)
        return cls(tuple(instances), shapes, sizes.repeat(1, 2), routes, points)


@torch.no_grad()
def match(layer: Layer, targets: Targets, assigner: Any, mask_assigner: Any = None) -> Pairs:
    """Give each target the query that fits it best (arXiv 2005.12872, section 3.1).

    Args:
        layer: The queries.
        targets: The targets.
        assigner: mmdet's, which looks at routes and boxes.
        mask_assigner: One that looks at masks too, for the images that have some.
    """
    corners = box_corners(layer.boxes) * targets.sizes[:, None]
    queries, found = [], []
    for image, wanted in enumerate(targets.instances):
        predicted = InstanceData(scores=layer.logits[image], bboxes=corners[image])
        chosen = assigner
        if layer.masks is not None and targets.points is not None and "masks" in wanted:
            predicted.masks = layer.masks[image] @ targets.points.matched_pixels(image)
            chosen = mask_assigner
        meta = {"img_shape": targets.shapes[image]}
        indices = chosen.assign(predicted, wanted, meta).gt_inds  # (Q,) from 1 on, 0 for none
        queries.append(indices.nonzero()[:, 0])
        found.append(indices[queries[-1]] - 1)
    return Pairs(tuple(queries), tuple(found))


def box_corners(boxes: Tensor) -> Tensor:
    """Turn cx, cy, w, h (..., 4) into x1, y1, x2, y2."""
    centre, size = boxes.split(2, dim=-1)
    return torch.cat([centre - size / 2, centre + size / 2], dim=-1)


def centred_boxes(corners: Tensor) -> Tensor:
    """Turn x1, y1, x2, y2 (..., 4) into cx, cy, w, h."""
    first, last = corners.split(2, dim=-1)
    return torch.cat([(first + last) / 2, last - first], dim=-1)


def _with_masks(targets: InstanceData, masks: Tensor) -> InstanceData:
    """The same targets with other masks."""
    changed = targets.clone()
    changed.masks = masks
    return changed
