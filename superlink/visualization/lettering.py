"""Letters on pictures: fonts, inks, and a strip of words below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image, ImageColor, ImageDraw, ImageFont

__all__ = ["Font", "Word", "font_for", "ink_on", "with_text"]

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


class Word(NamedTuple):
    """A word below a picture."""

    text: str
    color: str | None = None
    """Of the plate behind it."""


def with_text(picture: Image.Image, paragraphs: Sequence[Sequence[Word]]) -> Image.Image:
    """Append a white strip with the wrapped paragraphs."""
    font = font_for(max(picture.size))
    margin = max(6, picture.width // 60)
    width = picture.width - 2 * margin
    lines = [line for paragraph in paragraphs for line in _wrapped(paragraph, font, width)]
    step = round(1.35 * font.getbbox("Ag")[3])
    sheet = Image.new(
        "RGB", (picture.width, picture.height + len(lines) * step + 2 * margin), "white"
    )
    sheet.paste(picture, (0, 0))
    draw = ImageDraw.Draw(sheet)
    for index, line in enumerate(lines):
        x, y = float(margin), picture.height + margin + index * step
        for word in line:
            end = x + font.getlength(word.text)
            if word.color is not None:
                draw.rectangle((x - 2, y, end + 1, y + step - 2), fill=word.color)
            ink = "#222222" if word.color is None else ink_on(word.color)
            draw.text((x, y), word.text, fill=ink, font=font)
            x = end + font.getlength(" ")
    return sheet


def _wrapped(words: Sequence[Word], font: Font, width: float) -> list[list[Word]]:
    """Break a paragraph into lines of at most `width` pixels; a longer word keeps its own line."""
    lines: list[list[Word]] = [[]]
    for word in words:
        longer = " ".join(other.text for other in (*lines[-1], word))
        if lines[-1] and font.getlength(longer) > width:
            lines.append([word])
        else:
            lines[-1].append(word)
    return lines


def font_for(side: int) -> Font:
    """The font that Pillow brings along, for a picture of so many pixels."""
    return ImageFont.load_default(size=max(14, round(side / 34)))


def ink_on(background: str) -> str:
    """Black or white, whichever is read better on `background` (luma of ITU-R BT.601)."""
    red, green, blue = ImageColor.getrgb(background)[:3]
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "white"
