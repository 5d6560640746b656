"""Contrastive denoising (DINO, arXiv 2203.03605, section 3.3) for routes instead of classes."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import torch
from torch import Tensor

from .library import CdnQueryGenerator, inverse_sigmoid

__all__ = ["LinkDenoising", "noise_seed"]


def noise_seed(key: str) -> int:
    """A seed that depends on the key of a sample, and on nothing else.

    A training run gives a sample another key each time that it comes, so that the noise is the
    same however its batches are laid out on devices.
    """
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "big") >> 1


class LinkDenoising(CdnQueryGenerator):
    """Makes object queries that start from noised targets.

    The content of such a query is the link feature of its route in the same image, so that the
    order of routes has no meaning; a noised route is drawn among the real routes of its call.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(num_classes=1, **kwargs)
        self.label_embedding = None  # the link features take its place

    def __call__(
        self,
        bboxes: Sequence[Tensor],
        labels: Sequence[Tensor],
        seeds: Sequence[int],
        link_features: Tensor,
        num_routes: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, dict[str, int]]:
        """Draw the noise and place the queries.

        Args:
            bboxes: For each image (N, 4) x1, y1, x2, y2 as shares of the image.
            labels: For each image (N,) indices of routes.
            seeds: For each image the seed of its noise.
            link_features: (B, R, C).
            num_routes: (B,) real routes of each image.

        Returns:
            Content (B, D, C) and boxes (B, D, 4) before the sigmoid of the D denoising queries, the
            attention mask over D and matching queries, and mmdet's `dn_meta`.
        """
        most = max(len(boxes) for boxes in bboxes)
        num_groups = self.get_num_groups(most)
        draws = [
            _uniform(seed, 2 * num_groups, len(b)) for seed, b in zip(seeds, bboxes, strict=True)
        ]
        noise = torch.cat(draws, dim=1).to(link_features.device)  # (2 groups, N of all, 10)
        image = torch.cat([torch.full_like(one, index) for index, one in enumerate(labels)])
        routes = self._noised_routes(torch.cat(list(labels)), noise[..., :2], num_routes[image])
        content = link_features[image, routes].flatten(0, 1)
        boxes = self._noised_boxes(torch.cat(list(bboxes)), noise[..., 2:6], noise[..., 6:])
        content, boxes = self.collate_dn_queries(
            content, boxes.flatten(0, 1), image, len(bboxes), num_groups
        )
        meta = {"num_denoising_queries": 2 * num_groups * most, "num_denoising_groups": num_groups}
        return content, boxes, self.generate_dn_mask(most, num_groups, boxes.device), meta

    def _noised_routes(self, labels: Tensor, noise: Tensor, num_routes: Tensor) -> Tensor:
        """Routes (2 groups, N): some of `labels` (N,), drawn anew below `num_routes` (N,)."""
        drawn = (noise[..., 1] * num_routes).long()
        return torch.where(noise[..., 0] < self.label_noise_scale * 0.5, drawn, labels)

    def _noised_boxes(self, bboxes: Tensor, reach: Tensor, side: Tensor) -> Tensor:
        """Boxes (2 groups, N, 4) as cx, cy, w, h before the sigmoid; odd rows are the negatives,
        whose corners move further than those of any positive."""
        reach = reach + (torch.arange(len(reach), device=reach.device) % 2)[:, None, None]
        half_sizes = (bboxes[:, 2:] - bboxes[:, :2]).repeat(1, 2) / 2
        moved = (
            bboxes + reach * (side < 0.5).float().mul(2).sub(1) * half_sizes * self.box_noise_scale
        )
        top_left, bottom_right = moved.clamp(0, 1).split(2, dim=-1)
        centred = torch.cat([(top_left + bottom_right) / 2, bottom_right - top_left], dim=-1)
        return inverse_sigmoid(centred, eps=1e-3)


def _uniform(seed: int, rows: int, num_boxes: int) -> Tensor:
    """Numbers between 0 and 1 (rows, N, 10), drawn on the host: a device has its own stream."""
    return torch.rand(rows, num_boxes, 10, generator=torch.Generator().manual_seed(seed))
