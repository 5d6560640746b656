"""What the groups of keypoints shall find, and which queries they are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from superlink_mmdet.matching import Targets
from superlink_mmdet.pairs import Pairs

from .ragged import padded_points

__all__ = ["PoseTargets", "first_copies", "joined_pairs"]


@dataclass(frozen=True)
class PoseTargets:
    """The targets of M pairs in pixels of the stream, keypoints padded to K."""

    keypoints: Tensor
    """(M, K, 2)"""
    labelled: Tensor
    """(M, K)"""
    units: Tensor
    """(M, K)"""
    sizes: Tensor
    """(M,)"""
    bboxes: Tensor
    """(M, 4) corners"""
    scale: Tensor
    """(M, 4) width, height, width, height of the image"""

    @classmethod
    def of(cls, pairs: Pairs, targets: Targets, num_keypoints: int) -> PoseTargets:
        """Those of pairs."""

        def padded(name: str, value: float = 0.0) -> Tensor:
            some = [padded_points(one[name], num_keypoints, value) for one in targets.instances]
            return pairs.of_targets(some)

        return cls(
            keypoints=padded("keypoints"),
            labelled=padded("labelled"),
            units=padded("units", 1.0),
            sizes=pairs.of_targets([one.sizes for one in targets.instances]),
            bboxes=pairs.of_targets([one.bboxes for one in targets.instances]),
            scale=targets.sizes[pairs.places()[0]],
        )

    def part(self, keep: Tensor) -> PoseTargets:
        """Those that `keep` (M,) marks."""
        return PoseTargets(*(getattr(self, field.name)[keep] for field in fields(self)))


def first_copies(targets: Targets) -> Pairs:
    """The positive copy of each target in the first group of denoising."""
    own = tuple(torch.arange(len(one), device=one.labels.device) for one in targets.instances)
    return Pairs(own, own)


def joined_pairs(one: Pairs, two: Pairs) -> Pairs:
    """The pairs of both, image by image."""

    def both(a: Sequence[Tensor], b: Sequence[Tensor]) -> tuple[Tensor, ...]:
        return tuple(torch.cat(pair) for pair in zip(a, b, strict=True))

    return Pairs(both(one.queries, two.queries), both(one.targets, two.targets))
