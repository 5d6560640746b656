"""Pictures of replies: boxes, masks and points on the image, and the words below it."""

from .canvas import PALETTE, PictureCanvas
from .pictures import draw_reply, draw_target, grid

__all__ = ["PALETTE", "PictureCanvas", "draw_reply", "draw_target", "grid"]
