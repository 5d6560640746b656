"""What a mask says of its object."""

from __future__ import annotations

import numpy as np

from .schema import Box, Mask

__all__ = ["mask_box"]


def mask_box(mask: Mask) -> Box:
    """The smallest box (x1, y1, x2, y2) around the true pixels of a mask (H, W) that has some."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)
