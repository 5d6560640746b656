"""Which object queries stand for which targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["NoisedQueries", "Pairs"]


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


@dataclass(frozen=True)
class NoisedQueries:
    """The places of the D denoising queries of a batch.

    Those of an image come group by group: a positive copy of each of its targets, then a negative
    one of each. What an image has fewer of than its neighbours is filled up at the end.
    """

    num_targets: tuple[int, ...]
    """For each image the number of its targets."""
    num_groups: tuple[int, ...]
    """For each image the number of its groups; at least 1, which are empty without targets."""

    @property
    def number(self) -> int:
        """D, that of the fullest image."""
        sizes = zip(self.num_targets, self.num_groups, strict=True)
        return max(2 * targets * groups for targets, groups in sizes)

    def groups(self) -> Tensor:
        """(B, D) the group of each query, -1 for filling."""
        targets, groups = self._columns()
        group = torch.arange(self.number) // (2 * targets).clamp(min=1)
        return group.where((group < groups) & (targets > 0), -1)

    def weights(self) -> Tensor:
        """(B, D) the share of an image's groups that each query stands for, 0 for filling."""
        _, groups = self._columns()
        return (self.groups() >= 0) / groups

    def sources(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of all M queries that are no filling, image by image, (M,) each: the image, the place in
        it, the index of the target among those of all images, and whether it is a negative copy."""
        targets, _ = self._columns()
        image, place = (self.groups() >= 0).nonzero(as_tuple=True)
        own, before = targets[image, 0], targets.cumsum(0)[image, 0]
        return image, place, before - own + place % own, place // own % 2 == 1

    def pairs(self, device: torch.device) -> Pairs:
        """The pairs of positive copies."""
        queries, found = [], []
        for targets, groups in zip(self.num_targets, self.num_groups, strict=True):
            own = torch.arange(targets, device=device)
            starts = torch.arange(groups, device=device)[:, None] * 2 * targets
            queries.append((starts + own).flatten())
            found.append(own.repeat(groups))
        return Pairs(tuple(queries), tuple(found))

    def _columns(self) -> tuple[Tensor, Tensor]:
        """Numbers of targets and of groups, (B, 1) each."""
        return torch.tensor(self.num_targets)[:, None], torch.tensor(self.num_groups)[:, None]
