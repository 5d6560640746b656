"""Contrastive denoising (DINO, arXiv 2203.03605, section 3.3) for routes instead of classes."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from .library import CdnQueryGenerator, inverse_sigmoid
from .pairs import NoisedQueries

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
    ) -> tuple[Tensor, Tensor, Tensor, NoisedQueries]:
        """Draw the noise and place the queries.

        An image has as many groups as its own targets allow: what it teaches does not depend on
        its neighbours.

        Args:
            bboxes: For each image (N, 4) x1, y1, x2, y2 as shares of the image.
            labels: For each image (N,) indices of routes.
            seeds: For each image the seed of its noise.
            link_features: (B, R, C).
            num_routes: (B,) real routes of each image.

        Returns:
            Content (B, D, C) and boxes (B, D, 4) before the sigmoid of the D denoising queries, the
            attention mask (B, D + Q, D + Q) over them and Q matching queries, and their places.
        """
        numbers = tuple(map(len, bboxes))
        noised = NoisedQueries(numbers, tuple(map(self.get_num_groups, numbers)))
        device = link_features.device
        image, place, target, negative = (one.to(device) for one in noised.sources())
        sizes = zip(seeds, noised.num_groups, numbers, strict=True)
        draws = [_uniform(seed, 2 * groups, number) for seed, groups, number in sizes]
        noise = torch.cat(draws).to(device)  # (M, 10), image by image as all else
        routes = self._noised_routes(torch.cat(list(labels))[target], noise, num_routes[image])
        moved = self._noised_boxes(torch.cat(list(bboxes))[target], noise[:, 2:], negative)
        shape = len(numbers), noised.number
        content = link_features.new_zeros(*shape, link_features.shape[2])
        content[image, place] = link_features[image, routes]
        boxes = moved.new_zeros(*shape, 4)
        boxes[image, place] = moved
        return content, boxes, self._mask(noised.groups().to(device)), noised

    def _mask(self, groups: Tensor) -> Tensor:
        """What queries cannot see (B, D + Q, D + Q), where denoising ones are in `groups` (B, D):
        other groups, which to the last Q are all of them. So filling sees filling at least."""
        own = functional.pad(groups, (0, self.num_matching_queries), value=-2)
        hidden = own[:, :, None] != groups[:, None]
        return functional.pad(hidden, (0, self.num_matching_queries), value=False)

    def _noised_routes(self, labels: Tensor, noise: Tensor, num_routes: Tensor) -> Tensor:
        """Routes (M,): some of `labels` (M,), drawn anew below `num_routes` (M,)."""
        drawn = (noise[:, 1] * num_routes).long()
        return torch.where(noise[:, 0] < self.label_noise_scale * 0.5, drawn, labels)

    def _noised_boxes(self, bboxes: Tensor, noise: Tensor, negative: Tensor) -> Tensor:
        """Boxes (M, 4) as cx, cy, w, h before the sigmoid; the corners of the negatives move
        further than those of any positive."""
        reach, side = (noise[:, :4] + negative[:, None]), noise[:, 4:]
        half_sizes = (bboxes[:, 2:] - bboxes[:, :2]).repeat(1, 2) / 2
        moved = (
            bboxes + reach * (side < 0.5).float().mul(2).sub(1) * half_sizes * self.box_noise_scale
        )
        top_left, bottom_right = moved.clamp(0, 1).split(2, dim=-1)
        centred = torch.cat([(top_left + bottom_right) / 2, bottom_right - top_left], dim=-1)
        return inverse_sigmoid(centred, eps=1e-3)


def _uniform(seed: int, copies: int, num_boxes: int) -> Tensor:
    """Numbers between 0 and 1 (copies * num_boxes, 10), drawn on the host: a device has its own
    stream."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(copies * num_boxes, 10, generator=generator)
