"""Pictures as tensors of pixels."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

__all__ = ["covering", "picture", "pixels", "stretched"]


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


def picture(values: Tensor) -> Image.Image:
    """The RGB picture of pixels (3, H, W) between -1 and 1."""
    array = values.add(1).mul(127.5).round().byte().permute(1, 2, 0).cpu().numpy()
    return Image.fromarray(array)
