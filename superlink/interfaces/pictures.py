"""What a call that makes pictures gives: one for each of its routes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from PIL import Image

from .canvas import Canvas
from .results import Prediction, Reply

__all__ = ["ImagePrediction", "made_images"]


@dataclass(frozen=True)
class ImagePrediction(Prediction):
    """Pictures that were generated or edited."""

    images: tuple[Image.Image, ...]
    """One RGB picture for each route of the call."""
    phrases: tuple[str, ...]
    """The phrase of each route; mostly empty."""
    seeds: tuple[int, ...]
    """For each picture the seed that makes it again."""

    def to_json(self) -> dict[str, Any]:
        """`{"images": [{"phrase", "size": [width, height], "seed"}]}`; pixels are left out."""
        rows = zip(self.images, self.phrases, self.seeds, strict=True)
        return {
            "images": [
                {"phrase": phrase, "size": [*image.size], "seed": seed}
                for image, phrase, seed in rows
            ]
        }

    def draw(self, canvas: Canvas) -> None:
        """Put the first picture in the place of the canvas's."""
        canvas.image = self.images[0].copy()


def made_images(reply: Reply) -> list[Image.Image]:
    """The pictures that the calls of a reply made, in their order."""
    made = (p for p in reply.predictions if isinstance(p, ImagePrediction))
    return [image for prediction in made for image in prediction.images]
