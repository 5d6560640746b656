"""Masks of object queries, compared with their targets on random points (arXiv 2112.01527, section
3.3; the points are those of PointRend, arXiv 1912.08193)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .library import MLP, TASK_UTILS, DetDataSample, DiceLoss
from .pairs import Pairs
from .pixels import PixelMap

__all__ = ["MaskBranch", "MaskPoints"]


@dataclass(frozen=True)
class MaskPoints:
    """The K points at which the masks of a batch are compared.

    A mask is the product of its embedding with those of pixels, and so is its value at a point:
    one sampling of the pixels serves all queries and all layers.
    """

    pixels: Tensor
    """(B, C, K) embeddings of the pixels there."""
    truths: tuple[Tensor | None, ...]
    """For each image the targets there, (N, K) of bool; None where it has no masks."""
    num_matched: int
    """How many of the points, the first ones, serve the matching."""

    def matched_pixels(self, image: int) -> Tensor:
        """(C, num_matched) of one image."""
        return self.pixels[image, :, : self.num_matched]

    def matched_truths(self) -> list[Tensor | None]:
        """(N, num_matched) of each image."""
        return [None if one is None else one[:, : self.num_matched] for one in self.truths]


class MaskBranch(nn.Module):
    """Gives object queries the embeddings of their masks, and sums the losses of masks.

    Args:
        embed_dims: Width of object queries.
        mask_dims: Width of the embeddings of masks.
        num_points: Points on which a mask is compared.
        oversampling: How many times as many are drawn.
        importance: Share of the points where the mask is the least certain.
        mask_weight: Weight of the cross-entropy.
        dice_loss: What mmdet's `DiceLoss` wants.
        assigner: What pairs queries with targets that have masks.
    """

    def __init__(
        self,
        embed_dims: int,
        mask_dims: int,
        num_points: int,
        oversampling: float,
        importance: float,
        mask_weight: float,
        dice_loss: dict[str, Any],
        assigner: dict[str, Any],
    ) -> None:
        super().__init__()
        self.embed = MLP(embed_dims, embed_dims, mask_dims, 3)
        self.num_points = num_points
        self.num_candidates = round(num_points * oversampling)
        self.num_uncertain = int(num_points * importance)
        self.mask_weight = mask_weight
        self.dice_loss = DiceLoss(**dice_loss)
        self.assigner = TASK_UTILS.build(assigner)

    def points(self, pixels: PixelMap, samples: Sequence[DetDataSample]) -> MaskPoints:
        """Draw points for each image by the `point_seed` of its sample.

        First come the candidates for uncertain points, then random ones. All masks of an image
        share them.
        """
        number = self.num_candidates + self.num_points - self.num_uncertain
        drawn = [_uniform(sample.point_seed, number) for sample in samples]
        points = torch.stack(drawn).to(pixels.values)  # (B, K, 2)
        targets = [sample.gt_instances for sample in samples]
        truths = [
            _values_at(gt.masks, own) if "masks" in gt else None
            for gt, own in zip(targets, points, strict=True)
        ]
        return MaskPoints(pixels.at(points), tuple(truths), self.num_points)

    def sums(
        self, embeddings: Tensor, points: MaskPoints, pairs: Pairs, weights: Tensor
    ) -> dict[str, Tensor]:
        """Compare paired queries with their targets, where these have masks.

        Args:
            embeddings: (B, Q, C) of all queries of a layer.
            points: Where to compare.
            pairs: The queries to look at.
            weights: (B, Q) how much each query weighs.

        Returns:
            The sums of `loss_mask` and `loss_dice`, which hang on the inputs also without pairs.
        """
        logits, truths, shares = [], [], []
        for image, truth in enumerate(points.truths):
            queries, targets = pairs.queries[image], pairs.targets[image]
            if truth is None:
                queries = queries[:0]
            else:
                truths.append(truth[targets])
            logits.append(embeddings[image, queries] @ points.pixels[image])
            shares.append(weights[image, queries])
        known = torch.cat(truths) if truths else None
        return self._compare(torch.cat(logits), known, torch.cat(shares))

    def _compare(self, logits: Tensor, truths: Tensor | None, weights: Tensor) -> dict[str, Tensor]:
        """The sums of the losses of M masks (M, K), weighted by (M,)."""
        if truths is None:
            truths = torch.zeros_like(logits, dtype=torch.bool)
        chosen = self._choose(logits.detach())
        logits, truths = logits.gather(1, chosen), truths.gather(1, chosen).to(logits)
        entropy = functional.binary_cross_entropy_with_logits(
            logits, truths, weights[:, None], reduction="sum"
        )
        return {
            "loss_mask": entropy / self.num_points * self.mask_weight,
            "loss_dice": self.dice_loss(logits, truths, weights),
        }

    def _choose(self, logits: Tensor) -> Tensor:
        """For each mask the indices (M, num_points) of its least certain candidates, and of the
        random points."""
        candidates = logits[:, : self.num_candidates].abs()
        uncertain = candidates.topk(self.num_uncertain, dim=1, largest=False, sorted=False).indices
        rest = torch.arange(self.num_candidates, logits.shape[1], device=logits.device)
        return torch.cat([uncertain, rest.expand(len(logits), -1)], dim=1)


def _uniform(seed: int, number: int) -> Tensor:
    """Points (number, 2) between 0 and 1, drawn on the host: a device has its own stream."""
    return torch.rand(number, 2, generator=torch.Generator().manual_seed(seed))


def _values_at(masks: Tensor, points: Tensor) -> Tensor:
    """What `masks` (N, H, W) say of the pixels that `points` (K, 2) lie in, as (N, K)."""
    height, width = masks.shape[1:]
    x, y = (points * points.new_tensor([width, height])).long().unbind(1)
    return masks[:, y.clamp(max=height - 1), x.clamp(max=width - 1)]
