"""A sheet of samples: a row of pictures for each, with a title over each column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from PIL import Image, ImageDraw, ImageFont

from ..errors import InputError
from .views import CELL, View

__all__ = ["draw_sheet"]

_GAP = 16
_TITLE_SIZE, _TEXT_SIZE = 20, 15
_STEP = 20
"""Height of a line of text."""
_MAX_LINES = 4
_MAX_COLUMNS = 4


@dataclass(frozen=True)
class _Block:
    """One sample, laid out: its heading, its pictures and the lines below each of them."""

    heading: list[str]
    views: Sequence[View]
    notes: list[list[str]]

    @property
    def picture_height(self) -> int:
        return max((v.picture.height for v in self.views if v.picture), default=_STEP)

    @property
    def height(self) -> int:
        lines = len(self.heading) + max(map(len, self.notes), default=0)
        return self.picture_height + lines * _STEP + 2 * _GAP


def draw_sheet(rows: Sequence[tuple[str, Sequence[View]]]) -> Image.Image:
    """A sheet of samples.

    Args:
        rows: For each sample what it is called, and its views; the longest row gives the titles.
            Few views a sample leave room for several samples side by side.
    """
    longest = max((views for _, views in rows), key=len, default=())
    if not longest:
        raise InputError("A sheet needs at least one sample with a view. Received: none")
    titles = [view.title for view in longest]
    block_width = len(titles) * (CELL + _GAP)
    across = min(len(rows), max(1, _MAX_COLUMNS // len(titles)))
    blocks = [_lay_out(heading, views, block_width - _GAP) for heading, views in rows]
    lines = [blocks[first : first + across] for first in range(0, len(blocks), across)]
    heights = [max(block.height for block in line) for line in lines]
    top = 2 * _GAP + 24
    sheet = Image.new("RGB", (across * block_width + _GAP, top + sum(heights)), "white")
    pen = ImageDraw.Draw(sheet)
    for column in range(across * len(titles)):
        x = _GAP + column * (CELL + _GAP)
        pen.text((x, _GAP), titles[column % len(titles)], fill="black", font=_font(_TITLE_SIZE))
    for line, height in zip(lines, heights, strict=True):
        pen.line((_GAP, top, sheet.width - _GAP, top), fill="#cccccc")
        for place, block in enumerate(line):
            _paint(sheet, block, _GAP + place * block_width, top + _GAP // 2)
        top += height
    return sheet


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font that Pillow brings along."""
    return ImageFont.load_default(size=size)


def _lay_out(heading: str, views: Sequence[View], width: int) -> _Block:
    notes = [_wrapped(view.note, CELL) for view in views]
    return _Block(_wrapped(heading, width), views, notes)


def _paint(sheet: Image.Image, block: _Block, left: int, top: int) -> None:
    pen = ImageDraw.Draw(sheet)
    _write(pen, block.heading, left, top, "black")
    top += len(block.heading) * _STEP + _GAP // 4
    for column, view in enumerate(block.views):
        x = left + column * (CELL + _GAP)
        below = top
        if view.picture is not None:
            sheet.paste(view.picture, (x, top))
            below += view.picture.height + _GAP // 4
        _write(pen, block.notes[column], x, below, "#555555")


def _write(pen: ImageDraw.ImageDraw, lines: Sequence[str], x: int, y: int, color: str) -> None:
    for index, line in enumerate(lines):
        pen.text((x, y + index * _STEP), line, fill=color, font=_font(_TEXT_SIZE))


def _wrapped(text: str, width: int) -> list[str]:
    """A text in lines that fit; what is left after the last one is an ellipsis."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and _font(_TEXT_SIZE).getlength(longer) > width:
            lines.append(_cut(word, width))
        else:
            lines[-1] = _cut(longer, width)
    if len(lines) <= _MAX_LINES:
        return lines
    return [*lines[: _MAX_LINES - 1], _cut(f"{' '.join(lines[_MAX_LINES - 1 :])}", width)]


def _cut(text: str, width: int) -> str:
    """A text that fits into `width` pixels."""
    if _font(_TEXT_SIZE).getlength(text) <= width:
        return text
    text = text[:width]  # no letter is thinner than a pixel
    while text and _font(_TEXT_SIZE).getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"
