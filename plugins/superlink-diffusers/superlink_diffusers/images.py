"""Pictures as tensors of pixels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

__all__ = ["covering", "kept", "picture", "pixels", "resized", "stretched"]


def covering(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The middle of a picture, as large as fits `size` (height, width) without stretching it."""
    height, width = size
    scale = min(image.width / width, image.height / height)
    across, down = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (image.width - across) // 2, (image.height - down) // 2
    return stretched(image.crop((left, top, left + across, top + down)), size)


def stretched(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """A whole picture in `size` (height, width); as it is where it has it."""
    image = image.convert("RGB")
    shape = size[::-1]
    return image if image.size == shape else image.resize(shape, Image.Resampling.BICUBIC)


def pixels(image: Image.Image) -> Tensor:
    """(3, H, W) between -1 and 1 of an RGB picture."""
    values = torch.from_numpy(np.array(image)).permute(2, 0, 1).float()
    return values.div_(127.5).sub_(1)


def resized(mask: npt.NDArray[np.bool_], size: tuple[int, int]) -> Tensor:
    """A mask (H, W) as values (height, width) of `size`: 1 where it holds one of the pixels that a
    value stands for, else 0."""
    values = torch.from_numpy(np.ascontiguousarray(mask)).float()
    return functional.adaptive_max_pool2d(values[None, None], size)[0, 0]


def kept(source: Image.Image, made: Image.Image, changed: Tensor) -> Image.Image:
    """A picture in the place of another one where `changed` (H, W), of any size, is 1, and that one
    where it is 0; in the size of the source."""
    source = source.convert("RGB")
    size = (source.height, source.width)
    share = functional.interpolate(changed[None, None].float().cpu(), size, mode="bilinear")[0, 0]
    mixed = torch.lerp(pixels(source), pixels(stretched(made, size)), share)
    return picture(mixed)


def picture(values: Tensor) -> Image.Image:
    """The RGB picture of pixels (3, H, W) between -1 and 1."""
    array = values.add(1).mul(127.5).round().byte().permute(1, 2, 0).cpu().numpy()
    return Image.fromarray(array)
