"""Photographs that ship inside of installed packages: the backgrounds of the built-in scenes.

They are read as files; no package is imported for them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from PIL import Image

from ...errors import MissingDependencyError
from ...interfaces.images import open_image

__all__ = ["PHOTOS", "Photo", "Split", "draw_photograph", "load_photos"]

Split = Literal["train", "val"]

_MAX_SIDE = 640


@dataclass(frozen=True)
class Photo:
    """A photograph, and the part of it that shows nothing that the scenes have a name for."""

    package: str
    """The package that ships it."""
    path: str
    """Its file, relative to the package."""
    split: Split
    """Whether it stands behind training or validation scenes, never both."""
    credit: str
    """Who made it, and its licence."""
    area: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    """The usable part (x1, y1, x2, y2) as shares of width and height."""

    def load(self) -> Image.Image:
        """Read the usable part in RGB, at most 640 pixels on a side.

        Raises:
            MissingDependencyError: The package that ships the photograph is not installed.
        """
        spec = find_spec(self.package)
        if spec is None or not spec.submodule_search_locations:
            raise MissingDependencyError(
                f"The built-in scenes read {self.path} from the package {self.package!r}, which is "
                f"not installed. Run: pip install 'superlink[demo]'"
            )
        image = open_image(Path(spec.submodule_search_locations[0]) / self.path)
        x1, y1, x2, y2 = self.area
        width, height = image.size
        image = image.crop(
            (round(x1 * width), round(y1 * height), round(x2 * width), round(y2 * height))
        )
        image.thumbnail((_MAX_SIDE, _MAX_SIDE))
        return image


PHOTOS = (
    Photo("skimage", "data/brick.png", "train", "CC0Textures, CC0"),
    Photo("skimage", "data/coffee.png", "train", "Rachel Michetti, Pikolo Espresso Bar, CC0"),
    Photo("skimage", "data/coins.png", "train", "Brooklyn Museum, no known restrictions"),
    Photo("skimage", "data/gravel.png", "train", "CC0Textures, CC0"),
    Photo("skimage", "data/hubble_deep_field.jpg", "train", "NASA, public domain"),
    Photo("skimage", "data/ihc.png", "train", "CMMI, no known restrictions"),
    Photo("skimage", "data/rocket.jpg", "train", "SpaceX, public domain"),
    # The flags and the model rocket behind two portraits: people are a class of the scenes.
    Photo("skimage", "data/astronaut.png", "train", "NASA, public domain", (0.62, 0.0, 1.0, 0.5)),
    Photo(
        "matplotlib",
        "mpl-data/sample_data/grace_hopper.jpg",
        "train",
        "US Navy, public domain",
        (0.0, 0.0, 0.29, 0.5),
    ),
    Photo("sklearn", "datasets/images/china.jpg", "train", "danielbuechele, CC BY 2.0"),
    Photo("skimage", "data/grass.png", "val", "linolafett, CC0"),
    Photo("skimage", "data/retina.jpg", "val", "Mikael Häggström, CC0"),
    Photo("skimage", "data/camera.png", "val", "Lav Varshney, CC0", (0.66, 0.0, 1.0, 1.0)),
    Photo("sklearn", "datasets/images/flower.jpg", "val", "vultilion, CC BY 2.0"),
)
"""All backgrounds. Their order is part of what a seed means."""


@cache
def load_photos(split: Split) -> tuple[Image.Image, ...]:
    """The photographs of one split, read once a process."""
    return tuple(photo.load() for photo in PHOTOS if photo.split == split)


def draw_photograph(split: Split, size: int, rng: random.Random) -> Image.Image:
    """A random square of a random photograph, `size` pixels a side, mirrored half of the time."""
    photo = rng.choice(load_photos(split))
    shorter = min(photo.size)
    side = rng.randint(min(128, shorter), shorter)
    x, y = rng.randint(0, photo.width - side), rng.randint(0, photo.height - side)
    square = photo.resize((size, size), Image.Resampling.BILINEAR, box=(x, y, x + side, y + side))
    return square.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else square
