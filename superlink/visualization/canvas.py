"""The surface that predictions draw themselves on."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter
from torch import Tensor

from ..errors import InputError
from .lettering import font_for, ink_on

__all__ = ["PALETTE", "PictureCanvas", "color_at"]

PALETTE = (
    *("#e6194b", "#1f77ff", "#2ca02c", "#ff8c00", "#a020f0", "#00b8c4"),
    *("#ffd400", "#f032e6", "#8b5a2b", "#a4de02", "#5b5bd6", "#ff7f7f"),
)
"""Colours that are told apart side by side; an index beyond the last begins again."""

_MIN_SIDE = 480
_MASK_STRENGTH = 0.45

Rectangle = tuple[float, float, float, float]


class PictureCanvas:
    """A canvas that draws on a copy of an image; it takes coordinates in pixels of that image.

    Small images are enlarged by a whole factor first, so that labels can be read and boxes stay on
    pixel edges; lines and letters grow with the picture.

    Args:
        image: The original image.
        min_side: The longer side of the picture has at least so many pixels.
    """

    def __init__(self, image: Image.Image, min_side: int = _MIN_SIDE) -> None:
        self.scale = -(-min_side // max(image.size))
        size = (image.width * self.scale, image.height * self.scale)
        self.image: Image.Image = image.convert("RGB").resize(size, Image.Resampling.BICUBIC)
        self.line_width = max(2, round(max(size) / 200))
        self._font = font_for(max(size))
        self._colors: dict[str, int] = {}
        self._labels: list[tuple[Rectangle, str, str]] = []

    def color_of(self, name: str) -> int:
        """The colour of a name: the same one in most pictures, and of no other name in this one,
        while the palette lasts."""
        key = " ".join(name.lower().split())
        if key not in self._colors:
            wanted, taken = crc32(key.encode()) % len(PALETTE), set(self._colors.values())
            nearest = sorted(range(len(PALETTE)), key=lambda i: (i - wanted) % len(PALETTE))
            free = (index for index in nearest if index not in taken)
            self._colors[key] = next(free, wanted)
        return self._colors[key]

    def box(self, bbox: tuple[float, float, float, float], label: str = "", color: int = 0) -> None:
        """Draw a box (x1, y1, x2, y2) with a label; `color` picks from the palette."""
        x1, y1, x2, y2 = (round(value * self.scale) for value in bbox)
        draw = ImageDraw.Draw(self.image)
        # PIL takes the corner pixels as part of the rectangle; a box ends before x2 and y2.
        corners = (x1, y1, max(x1, x2 - 1), max(y1, y2 - 1))
        draw.rectangle(corners, outline=color_at(color), width=self.line_width)
        if label:
            plate = self._free_place(corners, *self._plate_size(label))
            self._labels.append((plate, label, color_at(color)))
        self._paint_labels()

    def mask(self, mask: Tensor, color: int = 0) -> None:
        """Tint the pixels of a mask (H, W) and draw its rim."""
        pixels = mask.detach().cpu().numpy() > 0.5
        if pixels.ndim != 2:
            raise InputError(f"A mask to draw is (H, W). Received: shape {tuple(mask.shape)}")
        area = Image.fromarray(pixels.astype(np.uint8) * 255).resize(self.image.size)
        tint = Image.new("RGB", self.image.size, color_at(color))
        strength = area.point([round(value * _MASK_STRENGTH) for value in range(256)])
        self.image.paste(tint, (0, 0), strength)
        inner = area.filter(ImageFilter.MinFilter(2 * (self.line_width // 2) + 1))
        self.image.paste(tint, (0, 0), ImageChops.difference(area, inner))
        self._paint_labels()

    def rim(self, mask: Tensor) -> None:
        """Draw the rim of a mask (H, W) in white and black, so that it is seen on every ground."""
        pixels = mask.detach().cpu().numpy() > 0.5
        area = Image.fromarray(pixels.astype(np.uint8) * 255).resize(self.image.size)
        for ink, width in (("black", 2 * self.line_width), ("white", self.line_width)):
            outer = area.filter(ImageFilter.MaxFilter(2 * (width // 2) + 1))
            self.image.paste(ink, (0, 0), ImageChops.difference(outer, area))
        self._paint_labels()

    def points(self, points: Tensor, color: int = 0) -> None:
        """Draw points (K, 2) as dots with a white rim; points that are not finite are left out."""
        draw = ImageDraw.Draw(self.image)
        radius = self.line_width * 1.3
        for x, y in points[points.isfinite().all(-1)].tolist():
            cx, cy = x * self.scale, y * self.scale
            dot = (cx - radius, cy - radius, cx + radius, cy + radius)
            draw.ellipse(
                dot, fill=color_at(color), outline="white", width=max(1, round(radius / 3))
            )

    def limbs(self, points: Tensor, pairs: Sequence[tuple[int, int]], color: int = 0) -> None:
        """Draw lines with a white rim between `pairs` of points (K, 2), but to points that are not
        finite."""
        draw, places = ImageDraw.Draw(self.image), (points * self.scale).tolist()
        known = points.isfinite().all(-1).tolist()
        lines = [(*places[a], *places[b]) for a, b in pairs if known[a] and known[b]]
        for ink, width in (("white", self.line_width + 2), (color_at(color), self.line_width)):
            for line in lines:
                draw.line(line, fill=ink, width=width)
        self._paint_labels()

    def _paint_labels(self) -> None:
        """Paint all labels again: what is drawn later shall not cross them."""
        draw = ImageDraw.Draw(self.image)
        for (x1, y1, x2, y2), text, color in self._labels:
            draw.rectangle((x1, y1, x2, y2), fill=color)
            left, top, *_ = self._font.getbbox(text)
            origin = (x1 + self.line_width - left, y1 + self.line_width - top)
            draw.text(origin, text, fill=ink_on(color), font=self._font)

    def _plate_size(self, text: str) -> tuple[float, float]:
        """Width and height of a label with its margins."""
        left, top, right, bottom = self._font.getbbox(text)
        return right - left + 2 * self.line_width, bottom - top + 2 * self.line_width

    def _free_place(self, corners: Rectangle, width: float, height: float) -> Rectangle:
        """Above the box, below it, or inside: the first place in the picture that no other label
        has."""
        x1, y1, x2, y2 = corners
        tops = (y1 - height, y2 + 1, y1, y2 - height)
        plates = []
        for left in (x1, x2 - width):
            x = max(0.0, min(left, self.image.width - width - 1))
            plates += [(x, y, x + width, y + height) for y in tops]
        inside = [p for p in plates if p[1] >= 0 and p[3] < self.image.height]
        free = [p for p in inside if not any(_overlap(p, other) for other, *_ in self._labels)]
        fallback = (plates[0][0], 0.0, plates[0][2], height)
        return next(iter(free or inside), fallback)


def color_at(index: int) -> str:
    """A colour of the palette, which begins again at its end."""
    return PALETTE[index % len(PALETTE)]


def _overlap(a: Rectangle, b: Rectangle) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
