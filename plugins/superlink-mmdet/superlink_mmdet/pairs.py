"""Which object queries stand for which targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Pairs", "noised_pairs"]


@dataclass(frozen=True)
class Pairs:
    """M pairs of a batch, image by image."""

    queries: tuple[Tensor, ...]
    """For each image the indices of its paired queries."""
    targets: tuple[Tensor, ...]
    """For each image the index of the target of each of them."""

    def places(self) -> tuple[Tensor, Tensor]:
        """The image (M,) and the query (M,) of each pair."""
        images = [torch.full_like(one, index) for index, one in enumerate(self.queries)]
        return torch.cat(images), torch.cat(self.queries)

    def of_targets(self, values: Sequence[Tensor]) -> Tensor:
        """What `values`, a tensor (N, ...) for each image, say of the target of each pair, as
        (M, ...)."""
        return torch.cat([value[index] for value, index in zip(values, self.targets, strict=True)])


def noised_pairs(
    num_targets: Sequence[int], num_queries: int, num_groups: int, device: torch.device
) -> tuple[Pairs, Tensor]:
    """The pairs of denoising queries.

    Each group has a positive copy of every target, then a negative one; where an image has fewer
    targets than its neighbours, both halves are filled up.

    Args:
        num_targets: For each image.
        num_queries: D denoising queries of an image.
        num_groups: Groups of noise among them.
        device: Where the tensors shall be.

    Returns:
        The pairs of positive copies, and a mask (B, D) of the queries that are no filling.
    """
    half = num_queries // (2 * num_groups)
    starts = torch.arange(num_groups, device=device)[:, None] * 2 * half
    own = [torch.arange(number, device=device) for number in num_targets]
    pairs = Pairs(
        tuple((starts + one).flatten() for one in own),
        tuple(one.repeat(num_groups) for one in own),
    )
    place = torch.arange(num_queries, device=device) % half
    return pairs, place < torch.tensor(num_targets, device=device)[:, None]
