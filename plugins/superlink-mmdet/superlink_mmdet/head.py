"""Grounding DINO's box head, with losses as sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from .library import GroundingDINOHead

__all__ = ["LinkHead"]

Losses = tuple[Tensor, Tensor, Tensor]


class LinkHead(GroundingDINOHead):
    """Losses are sums over a batch: whoever adds up batches divides once.

    The loss modules of its config must have `reduction="sum"`. Denoising sums are means over the
    groups of noise, so that each target weighs the same whatever its batch.
    """

    @staticmethod
    def split_outputs(
        all_layers_cls_scores: Tensor, all_layers_bbox_preds: Tensor, dn_meta: dict[str, int]
    ) -> tuple[Tensor | None, ...]:
        """Part matching and denoising queries; no group of noise means that there are none."""
        if not dn_meta["num_denoising_groups"]:
            return all_layers_cls_scores, all_layers_bbox_preds, None, None
        return GroundingDINOHead.split_outputs(
            all_layers_cls_scores, all_layers_bbox_preds, dn_meta
        )

    def loss_by_feat_single(
        self,
        cls_scores: Tensor,
        bbox_preds: Tensor,
        batch_gt_instances: Sequence[Any],
        batch_img_metas: Sequence[dict[str, Any]],
    ) -> Losses:
        """Match one layer's predictions to the targets, and compare them.

        Args:
            cls_scores: (B, queries, max_text_len) logits, -inf beyond the real routes.
            bbox_preds: (B, queries, 4) cx, cy, w, h as shares of the image.
            batch_gt_instances: The targets of each image.
            batch_img_metas: `img_shape` of each image.

        Returns:
            The sums of the losses of class, box and IoU.
        """
        with torch.no_grad():
            targets = self.get_targets(
                list(cls_scores), list(bbox_preds), batch_gt_instances, batch_img_metas
            )
        return self._sums(cls_scores, bbox_preds, targets, batch_img_metas)

    def _loss_dn_single(
        self,
        dn_cls_scores: Tensor,
        dn_bbox_preds: Tensor,
        batch_gt_instances: Sequence[Any],
        batch_img_metas: Sequence[dict[str, Any]],
        dn_meta: dict[str, int],
    ) -> Losses:
        targets = self.get_dn_targets(batch_gt_instances, batch_img_metas, dn_meta)
        sums = self._sums(dn_cls_scores, dn_bbox_preds, targets, batch_img_metas)
        groups = dn_meta["num_denoising_groups"]
        return sums[0] / groups, sums[1] / groups, sums[2] / groups

    def _get_dn_targets_single(self, *args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
        labels, weights, *rest = super()._get_dn_targets_single(*args, **kwargs)
        positive, negative = rest[-2:]
        # The queries that pad an image with fewer targets than its neighbours must not count.
        weights = torch.zeros_like(weights)
        weights[positive] = weights[negative] = 1.0
        return labels, weights, *rest

    def _sums(
        self,
        cls_scores: Tensor,
        bbox_preds: Tensor,
        targets: Sequence[Any],
        metas: Sequence[dict[str, Any]],
    ) -> Losses:
        labels, label_weights, boxes, box_weights = (torch.stack(part) for part in targets[:4])
        routes = functional.pad(self.text_masks, (0, self.max_text_len - self.text_masks.shape[1]))
        counted = routes[:, None, :] & (label_weights > 0)[..., None]  # (B, queries, routes)
        loss_cls = self.loss_cls(cls_scores[counted], labels[counted])
        matched = box_weights[..., 0] > 0  # (B, queries)
        predicted, wanted = bbox_preds[matched], boxes[matched]
        sizes = bbox_preds.new_tensor([meta["img_shape"] for meta in metas]).flip(1)  # (B, 2) w, h
        scale = sizes[matched.nonzero()[:, 0]].repeat(1, 2)
        loss_iou = self.loss_iou(_corners(predicted) * scale, _corners(wanted) * scale)
        return loss_cls, self.loss_bbox(predicted, wanted), loss_iou


def _corners(boxes: Tensor) -> Tensor:
    """Turn cx, cy, w, h (N, 4) into x1, y1, x2, y2."""
    centre, size = boxes.split(2, dim=-1)
    return torch.cat([centre - size / 2, centre + size / 2], dim=-1)
