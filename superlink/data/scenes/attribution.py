"""Whose pictures the built-in scenes are made of."""

from __future__ import annotations

from .photos import PHOTOS

__all__ = ["attribution"]

_DRAWINGS = (
    "Drawings: OpenMoji, the open-source emoji and icon project (https://openmoji.org), "
    "CC BY-SA 4.0 (https://creativecommons.org/licenses/by-sa/4.0/). Pictures that show them are "
    "shared under the same licence."
)


def attribution() -> str:
    """The licences to show beside every picture of a built-in scene, as a few lines of text."""
    photos = "; ".join(f"{photo.path.rpartition('/')[2]}: {photo.credit}" for photo in PHOTOS)
    return f"{_DRAWINGS}\nPhotographs (cropped): {photos}."
