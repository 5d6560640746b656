"""Pictures of replies: boxes, masks and points on the image, and the words below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageChops, ImageColor, ImageDraw, ImageFilter, ImageFont
from torch import Tensor

from .errors import InputError
from .interfaces import InstancePrediction, Reply

__all__ = ["PALETTE", "PictureCanvas", "draw_reply", "draw_target", "grid"]

PALETTE = (
    *("#e6194b", "#1f77ff", "#2ca02c", "#ff8c00", "#a020f0", "#00b8c4"),
    *("#ffd400", "#f032e6", "#8b5a2b", "#a4de02", "#5b5bd6", "#ff7f7f"),
)
"""Colours that are told apart side by side; an index beyond the last begins again."""

_MIN_SIDE = 480
_MASK_STRENGTH = 0.45

Rectangle = tuple[float, float, float, float]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


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
        self._font = _font(max(size))
        self._labels: list[tuple[Rectangle, str, str]] = []

    def box(self, bbox: tuple[float, float, float, float], label: str = "", color: int = 0) -> None:
        """Draw a box (x1, y1, x2, y2) with a label; `color` picks from the palette."""
        x1, y1, x2, y2 = (round(value * self.scale) for value in bbox)
        draw = ImageDraw.Draw(self.image)
        # PIL takes the corner pixels as part of the rectangle; a box ends before x2 and y2.
        corners = (x1, y1, max(x1, x2 - 1), max(y1, y2 - 1))
        draw.rectangle(corners, outline=_color(color), width=self.line_width)
        if label:
            plate = self._free_place(corners, *self._plate_size(label))
            self._labels.append((plate, label, _color(color)))
        self._paint_labels()

    def mask(self, mask: Tensor, color: int = 0) -> None:
        """Tint the pixels of a mask (H, W) and draw its rim."""
        pixels = mask.detach().cpu().numpy() > 0.5
        if pixels.ndim != 2:
            raise InputError(f"A mask to draw is (H, W). Received: shape {tuple(mask.shape)}")
        area = Image.fromarray(pixels.astype(np.uint8) * 255).resize(self.image.size)
        tint = Image.new("RGB", self.image.size, _color(color))
        strength = area.point([round(value * _MASK_STRENGTH) for value in range(256)])
        self.image.paste(tint, (0, 0), strength)
        inner = area.filter(ImageFilter.MinFilter(2 * (self.line_width // 2) + 1))
        self.image.paste(tint, (0, 0), ImageChops.difference(area, inner))
        self._paint_labels()

    def points(self, points: Tensor, color: int = 0) -> None:
        """Draw points (K, 2) as dots with a white rim; points that are not finite are left out."""
        draw = ImageDraw.Draw(self.image)
        radius = self.line_width * 1.3
        for x, y in points[points.isfinite().all(-1)].tolist():
            cx, cy = x * self.scale, y * self.scale
            dot = (cx - radius, cy - radius, cx + radius, cy + radius)
            draw.ellipse(dot, fill=_color(color), outline="white", width=max(1, round(radius / 3)))

    def _paint_labels(self) -> None:
        """Paint all labels again: what is drawn later shall not cross them."""
        draw = ImageDraw.Draw(self.image)
        for (x1, y1, x2, y2), text, color in self._labels:
            draw.rectangle((x1, y1, x2, y2), fill=color)
            left, top, *_ = self._font.getbbox(text)
            origin = (x1 + self.line_width - left, y1 + self.line_width - top)
            draw.text(origin, text, fill=_ink(color), font=self._font)

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


def draw_reply(image: Image.Image, reply: Reply, threshold: float = 0.25) -> Image.Image:
    """The picture of a reply: its predictions on the image, its text below.

    Args:
        image: The image that the reply speaks of.
        reply: What the model answered.
        threshold: Instances with a lower score are left out.
    """
    canvas = PictureCanvas(image)
    for prediction in reply.predictions:
        if isinstance(prediction, InstancePrediction):
            prediction = prediction.above(threshold)
        prediction.draw(canvas)
    failures = [f"{failure.call.decoder} failed: {failure.reason}" for failure in reply.failures]
    return _with_text(canvas.image, [reply.text, *failures])


def draw_target(
    image: Image.Image, targets: Sequence[Mapping[str, Any] | None], *paragraphs: str
) -> Image.Image:
    """The picture of what should be found: annotated boxes, masks and keypoints, text below.

    Args:
        image: The original image.
        targets: Of its calls. `bboxes` (N, 4), `labels` (N,) and `names` are drawn, and `masks`
            (N, H, W) and `keypoints` (N, K, 2) where they are given; other targets have no picture.
        paragraphs: Put below, for instance question and expected answer.
    """
    canvas = PictureCanvas(image)
    for target in targets:
        if target is None or not {"bboxes", "labels", "names"} <= target.keys():
            continue
        for index, label in enumerate(target["labels"].tolist()):
            if len(target.get("masks", ())):
                canvas.mask(target["masks"][index], label)
            x1, y1, x2, y2 = target["bboxes"][index].tolist()
            canvas.box((x1, y1, x2, y2), target["names"][label], label)
            if "keypoints" in target:
                labelled = target["keypoints_visible"][index] > 0
                canvas.points(target["keypoints"][index][labelled], label)
    return _with_text(canvas.image, paragraphs) if paragraphs else canvas.image


def grid(pictures: Sequence[Image.Image], columns: int, gap: int = 12) -> Image.Image:
    """Put pictures side by side on white, each in the middle of a cell that fits the largest."""
    if not pictures or columns < 1:
        raise InputError(
            "A grid needs at least one picture and one column. "
            f"Received: {len(pictures)} pictures, columns={columns}"
        )
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    width, height = (max(sides) for sides in zip(*(p.size for p in pictures), strict=True))
    size = (columns * (width + gap) + gap, rows * (height + gap) + gap)
    sheet = Image.new("RGB", size, "white")
    for index, picture in enumerate(pictures):
        row, column = divmod(index, columns)
        x = gap + column * (width + gap) + (width - picture.width) // 2
        y = gap + row * (height + gap)
        sheet.paste(picture, (x, y))
    return sheet


def _with_text(picture: Image.Image, paragraphs: Sequence[str]) -> Image.Image:
    """Append a white strip with the wrapped paragraphs."""
    font = _font(max(picture.size))
    margin = max(6, picture.width // 60)
    lines = [
        line
        for paragraph in paragraphs
        for line in _wrapped(paragraph, font, picture.width - 2 * margin)
    ]
    step = round(1.35 * font.getbbox("Ag")[3])
    sheet = Image.new(
        "RGB", (picture.width, picture.height + len(lines) * step + 2 * margin), "white"
    )
    sheet.paste(picture, (0, 0))
    draw = ImageDraw.Draw(sheet)
    for index, line in enumerate(lines):
        draw.text((margin, picture.height + margin + index * step), line, fill="#222222", font=font)
    return sheet


def _wrapped(text: str, font: Font, width: float) -> list[str]:
    """Break a paragraph into lines of at most `width` pixels; a longer word keeps its own line."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _font(side: int) -> Font:
    """The font that Pillow brings along, for a picture of so many pixels."""
    return ImageFont.load_default(size=max(14, round(side / 34)))


def _color(index: int) -> str:
    return PALETTE[index % len(PALETTE)]


def _ink(background: str) -> str:
    """Black or white, whichever is read better on `background` (luma of ITU-R BT.601)."""
    red, green, blue = ImageColor.getrgb(background)[:3]
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "white"


def _overlap(a: Rectangle, b: Rectangle) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
