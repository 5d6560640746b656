"""Regions as a command line names them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import InputError
from ..interfaces import REGION_MARK, Region
from ..interfaces.images import open_image

__all__ = ["REGION_HELP", "read_region"]

REGION_HELP = (
    f"What a {REGION_MARK} in the prompt stands for, in pixels of the picture: point:120,80 or "
    "box:x1,y1,x2,y2 or scribble:x,y,x,y,... or circle:x,y,radius or polygon:x,y,x,y,... or "
    "mask:FILE.png, white inside. Several are possible, one for each mark."
)

_MOST_GREY = 0.1
"""Share of a mask between black and white: soft edges are fewer, a photograph is more."""


def read_region(text: str) -> Region:
    """A region by its text; a mask is read from its file.

    Raises:
        InputError: The text names none, or the file cannot be read.
    """
    if not text.startswith("mask:"):
        return Region.parse(text)
    picture = open_image(Path(text.removeprefix("mask:"))).convert("L")
    grey = np.asarray(picture)
    mask = grey > 127
    if ((grey > 63) & (grey < 192)).mean() > _MOST_GREY and len(np.unique(grey)) > 2:
        raise InputError(
            "A mask is black and white, white where the region is; this has "
            f"{len(np.unique(grey))} shades. Received: {text}"
        )
    if not mask.any():
        raise InputError(
            f"A mask is white where the region is. Received: {text}, which has no light pixel"
        )
    return Region.from_mask(mask)
