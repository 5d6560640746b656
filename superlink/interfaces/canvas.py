"""What predictions draw themselves on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from PIL import Image
from torch import Tensor

__all__ = ["Canvas"]


class Canvas(Protocol):
    """The surface that a prediction draws itself on, in pixels of the original image."""

    image: Image.Image
    """The picture so far; a prediction may also replace it."""

    def color_of(self, name: str) -> int:
        """The colour of a name: the same one in most pictures, and of no other name in this one,
        while there are enough."""
        ...

    def box(self, bbox: tuple[float, float, float, float], label: str = "", color: int = 0) -> None:
        """Draw a box (x1, y1, x2, y2) with a label; `color` picks from the palette."""

    def mask(self, mask: Tensor, color: int = 0) -> None:
        """Tint the pixels of a mask (H, W)."""

    def points(self, points: Tensor, color: int = 0) -> None:
        """Draw points (K, 2) as dots; points that are not finite are left out."""

    def limbs(self, points: Tensor, pairs: Sequence[tuple[int, int]], color: int = 0) -> None:
        """Draw lines between `pairs` of points (K, 2), but to points that are not finite."""
