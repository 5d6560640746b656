"""Replies that are pictures, beside what was wanted."""

from __future__ import annotations

from collections.abc import Iterator

from PIL import Image, ImageOps

from ...interfaces import Reply, Sample
from ...visualization.canvas import PictureCanvas
from ...visualization.lettering import Word, with_text
from ..pictures import made_pictures, wanted_pictures
from ..runner import question

__all__ = ["picture_rows", "wants_pictures"]

_MIN_SIDE = 240  # six of them stand side by side


def wants_pictures(sample: Sample) -> bool:
    """Whether a sample is to be answered with pictures."""
    return any(target is not None and "images" in target for target in sample.targets)


def picture_rows(sample: Sample, reply: Reply) -> Iterator[tuple[Image.Image, ...]]:
    """For each picture that was wanted its source, where it has one, itself, and what came."""
    if not wants_pictures(sample):
        return
    made = [image for image, _ in made_pictures(reply)]
    asked = f"{sample.key}: {question(sample).messages[-1].text_with('').strip()}"
    for index, wanted in enumerate(wanted_pictures(sample, "A card", edited=True)):
        told = reply.text.strip() or "(no text)"
        if index < len(made):
            came = _panel(made[index], told)
        else:
            came = _panel(Image.new("RGB", wanted.image.size, "white"), f"{told} (no picture)")
        source = [] if wanted.source is None else [_panel(wanted.source, "source")]
        yield (*source, _panel(wanted.image, asked), came)


def _panel(image: Image.Image, text: str) -> Image.Image:
    """A picture, large enough to be seen, in a thin frame, with a text below."""
    framed = ImageOps.expand(PictureCanvas(image, _MIN_SIDE).image, 1, "#cccccc")
    return with_text(framed, [[Word(word) for word in text.split()]])
