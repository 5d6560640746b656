"""Folders of images and folders of what is known of them, paired by the names of their files."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from PIL import Image

from ...errors import InputError
from ..problems import Problems

__all__ = ["IMAGE_SUFFIXES", "MAP_SUFFIXES", "files_by_name", "pair_files", "upright_size"]

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
"""What images end with."""
MAP_SUFFIXES = (".bmp", ".gif", ".png", ".tif", ".tiff")
"""What maps of masks or labels end with; those without loss."""

_TURNED = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""


def files_by_name(
    folder: Path, suffixes: Collection[str], problems: Problems, what: str = "image"
) -> dict[str, str]:
    """The files below a folder that have one of `suffixes`: path without suffix -> path, sorted.

    Hidden files are passed over. Files that differ in their suffix alone become problems.

    Raises:
        InputError: There is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"No such folder of {what}s: {str(folder)!r}. Check the path.")
    found: dict[str, str] = {}
    for path in sorted(_listed(folder)):
        stem, suffix = os.path.splitext(path)
        if suffix.lower() not in suffixes or os.path.basename(path).startswith("."):
            continue
        if stem in found:
            problems.add(folder, f"{what} {path}", "another one has its name and another suffix")
        else:
            found[stem] = path
    return found


def pair_files(images: Path, maps: Path, problems: Problems) -> list[tuple[str, str, str]]:
    """Images and maps of one name: (name, image, map), relative to their folders, sorted.

    Where both lie in one folder, images are those that are no maps by their suffix. An image
    without a map and a map without an image become problems.

    Raises:
        InputError: A folder is missing, or nothing in it has a partner.
    """
    same = images.resolve() == maps.resolve()
    suffixes = set(IMAGE_SUFFIXES).difference(MAP_SUFFIXES if same else ())
    named = files_by_name(images, suffixes, problems)
    mapped = files_by_name(maps, MAP_SUFFIXES, problems, "map")
    for name in sorted(named.keys() ^ mapped.keys()):
        if name in named:
            problems.add(images, f"image {named[name]}", f"no map in {maps} has its name")
        else:
            problems.add(maps, f"map {mapped[name]}", f"no image in {images} has its name")
    pairs = [(name, path, mapped[name]) for name, path in named.items() if name in mapped]
    if not pairs:
        raise InputError(
            "An image and its map have the same name but for the suffix. Received: no such pair "
            f"among {len(named)} images in {str(images)!r} and {len(mapped)} maps in {str(maps)!r}"
        )
    return pairs


def upright_size(path: Path) -> tuple[int, int]:
    """Width and height of an image as it is opened, its EXIF orientation applied; reads no pixels.

    Raises:
        InputError: The file is missing or is no image.
    """
    try:
        with Image.open(path) as image:
            turned = image.getexif().get(0x0112) in _TURNED
            return (image.height, image.width) if turned else image.size
    except Exception as error:  # PIL's format plugins raise almost anything on broken bytes
        raise InputError(f"{str(path)!r} cannot be read as an image: {error}") from error


def _listed(folder: Path) -> list[str]:
    """All files below a folder, relative to it, with `/` between the parts."""
    return [
        (Path(parent) / name).relative_to(folder).as_posix()
        for parent, _, names in os.walk(folder, followlinks=True)
        for name in names
    ]
