"""The built-in pictures of icons: objects in a colour, a number and a place, with captions."""

from .dataset import IconDataset, caption_of, icon_pairs, read_icons
from .drawing import COLOURS, HELD_OUT, OBJECTS, draw_icon
from .layout import COUNTS, POSITIONS, Arrangement, draw_arrangement

__all__ = [
    "COLOURS",
    "COUNTS",
    "HELD_OUT",
    "OBJECTS",
    "POSITIONS",
    "Arrangement",
    "IconDataset",
    "caption_of",
    "draw_arrangement",
    "draw_icon",
    "icon_pairs",
    "read_icons",
]
