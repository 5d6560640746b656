"""Feature maps of images of several sizes in one batch, with zeros at the right and the bottom."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["joined", "own_size"]

Size = tuple[int, int]


def joined(maps: Sequence[Tensor]) -> Tensor:
    """Maps (1, C, H, W) of several sizes as one (B, C, max H, max W)."""
    height = max(one.shape[-2] for one in maps)
    width = max(one.shape[-1] for one in maps)
    return torch.cat(
        [functional.pad(one, (0, width - one.shape[-1], 0, height - one.shape[-2])) for one in maps]
    )


def own_size(image: Size, canvas: Size, cells: Size) -> Size:
    """Height and width of the part of a map that belongs to an image.

    Args:
        image: Height and width of the image in pixels.
        canvas: Those of the batch.
        cells: Those of the map.
    """
    height, width = (
        max(1, round(own * number / whole))
        for own, whole, number in zip(image, canvas, cells, strict=True)
    )
    return height, width
