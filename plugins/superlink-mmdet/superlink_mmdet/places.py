"""The cells of feature maps as places in the image, for all levels at once."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["cell_places", "level_places", "start_boxes"]

_FIRST_SIZE = 0.05
"""Share of the image that a start box of the finest level covers on each axis; each coarser level
doubles it (arXiv 2010.04159, appendix A.4)."""
_MARGIN = 0.01
"""Boxes start no nearer to 0 and 1 than this, where the logit grows without bound."""


def cell_places(spatial_shapes: Tensor, valid_ratios: Tensor) -> tuple[Tensor, Tensor]:
    """The centres of all cells.

    Args:
        spatial_shapes: (levels, 2) height and width of each map.
        valid_ratios: (B, levels, 2) shares of width and height that are not padding.

    Returns:
        x, y (B, P, 2) as shares of the image without its padding, and the level (P,) of each cell.
    """
    device = valid_ratios.device
    centres, levels = [], []
    for level, (height, width) in enumerate(spatial_shapes.tolist()):
        y = (torch.arange(height, device=device) + 0.5) / height
        x = (torch.arange(width, device=device) + 0.5) / width
        centres.append(torch.stack([x.repeat(height), y.repeat_interleave(width)], dim=-1))
        levels.append(torch.full((height * width,), level, device=device))
    level_of = torch.cat(levels)
    return torch.cat(centres) / valid_ratios[:, level_of], level_of


def level_places(spatial_shapes: Tensor, valid_ratios: Tensor) -> Tensor:
    """The centres of all cells on each level, x and y (B, P, levels, 2) as shares of its map with
    the padding. The arguments are those of `cell_places`."""
    places, _ = cell_places(spatial_shapes, valid_ratios)
    return places[:, :, None] * valid_ratios[:, None]


def start_boxes(places: Tensor, levels: Tensor) -> tuple[Tensor, Tensor]:
    """A box around each place, before the sigmoid, and whether a query may start from it.

    Args:
        places: (B, P, 2) shares of the image.
        levels: (P,).

    Returns:
        cx, cy, w, h (B, P, 4), infinite where no query may start, and a mask (B, P).
    """
    sizes = (_FIRST_SIZE * 2.0**levels)[:, None].expand_as(places)
    boxes = torch.cat([places, sizes], dim=-1)
    usable = ((boxes > _MARGIN) & (boxes < 1 - _MARGIN)).all(-1)
    return boxes.logit().masked_fill(~usable[..., None], torch.inf), usable
