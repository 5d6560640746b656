"""Lists of different lengths as one tensor."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["padded_index", "padded_points"]


def padded_index(lists: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Indices (N,) of each image as (B, G), filled with 0, and a mask of the real ones; G is 1 at
    least."""
    longest = max(1, *map(len, lists)) if lists else 1
    index = lists[0].new_zeros(len(lists), longest)
    real = torch.zeros_like(index, dtype=torch.bool)
    for row, one in enumerate(lists):
        index[row, : len(one)] = one
        real[row, : len(one)] = True
    return index, real


def padded_points(values: Tensor, number: int, value: float) -> Tensor:
    """Values (N, K, ...) as (N, number, ...), filled with `value`."""
    filled = values.new_full((len(values), number, *values.shape[2:]), value)
    filled[:, : values.shape[1]] = values
    return filled
