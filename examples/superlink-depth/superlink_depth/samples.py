"""Between superlink's structures and the decoder's tensors: images, masks, predictions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import superlink.interfaces as sl
import torch
from PIL import Image
from torch import Tensor, nn


@dataclass(frozen=True)
class DepthMasks(sl.Prediction):
    """One mask for each route of a call, as large as the original image."""

    masks: Tensor  # (R, H, W) between 0 and 1
    phrases: tuple[str, ...]

    def to_json(self) -> dict:
        """For each route the highest value and its pixel; whole masks are too long for text."""
        found = []
        for phrase, values in zip(self.phrases, self.masks, strict=True):
            y, x = divmod(int(values.argmax()), values.shape[1])
            found.append({"phrase": phrase, "highest": float(values.max()), "at": [x, y]})
        return {"masks": found}

    def draw(self, canvas: sl.Canvas) -> None:
        """Tint what is above one half, and put a box with the phrase around it."""
        for color, (phrase, values) in enumerate(zip(self.phrases, self.masks, strict=True)):
            canvas.mask(values, color)
            rows, columns = (values > 0.5).nonzero(as_tuple=True)
            if len(rows):
                (x1, x2), (y1, y2) = columns.aminmax(), rows.aminmax()
                canvas.box((float(x1), float(y1), float(x2 + 1), float(y2 + 1)), phrase, color)


def predictions(
    masks: Tensor, links: sl.LinkedQueries, geometries: Sequence[sl.Geometry]
) -> list[sl.Prediction]:
    """The masks (R, H, W) of all routes as one prediction for each call, on the host."""
    masks, calls = masks.detach().cpu(), links.calls.cpu()
    made: list[sl.Prediction] = []
    for index, geometry in enumerate(geometries):
        own = to_original(masks[calls == index], geometry)
        made.append(DepthMasks(own, links.phrases_of(index)))
    return made


def to_pixels(image: Image.Image, size: tuple[int, int]) -> Tensor:
    """An image, resized to `size` (height, width), as (3, H, W) between 0 and 1."""
    pixels = np.array(image.convert("RGB").resize(size[::-1]), dtype=np.float32) / 255
    return torch.from_numpy(pixels).movedim(-1, 0)


def to_stream(masks: Tensor, geometry: sl.Geometry) -> Tensor:
    """Masks (N, H, W) of the original image as those of the decoder's image stream."""
    return _look_up(masks, geometry.original_size, geometry.points_to_original, geometry.size)


def to_original(masks: Tensor, geometry: sl.Geometry) -> Tensor:
    """Masks (N, H, W) of the decoder's image stream as those of the original image."""
    return _look_up(masks, geometry.size, geometry.points_to_stream, geometry.original_size)


def _look_up(
    masks: Tensor,
    source_size: tuple[int, int],
    to_source: Callable[[Tensor], Tensor],
    size: tuple[int, int],
) -> Tensor:
    """For each pixel of an image of `size` what `masks` hold at its place; 0 outside of them."""
    rows, columns = (torch.arange(side) + 0.5 for side in size)
    points = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1)  # (h, w, 2) x, y
    places = to_source(points) / torch.tensor(source_size[::-1]) * 2 - 1  # -1 and 1 are the edges
    found = nn.functional.grid_sample(
        masks[None].float(), places[None], padding_mode="border", align_corners=False
    )
    return found[0] * (places.abs() <= 1).all(-1)  # (N, h, w)
