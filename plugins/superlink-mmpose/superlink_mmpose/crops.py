"""Boxes as crops of one size: frames around them, their pixels, and points inside and outside."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from superlink.interfaces import Geometry

__all__ = ["Size", "crop_points", "cut", "framed", "image_points", "jittered", "shown"]

Size = tuple[int, int]


def shown(geometry: Geometry) -> Tensor:
    """What a stream shows of the original image, as a box (4,) in pixels of that."""
    height, width = geometry.size
    return geometry.boxes_to_original(torch.tensor([0.0, 0.0, width, height]))


def jittered(bboxes: Tensor, seed: int, shift: float, scale: float) -> Tensor:
    """Boxes (N, 4) that are moved by up to `shift` of their sides, and made larger or smaller by up
    to the share `scale`; drawn on the host, where every device draws the same."""
    draw = torch.rand(len(bboxes), 4, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    first, last = bboxes.split(2, dim=-1)
    size = last - first
    centre = (first + last) / 2 + draw[:, :2] * shift * size
    half = size * (1 + draw[:, 2:] * scale) / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def framed(bboxes: Tensor, size: Size, padding: float) -> Tensor:
    """The frames (N, 4) around boxes (N, 4): larger by `padding`, then the shorter side enlarged
    until they have the proportions of `size` (height, width). They may reach beyond the image; a
    side of a box counts as one pixel at least."""
    first, last = bboxes.split(2, dim=-1)
    unit = bboxes.new_tensor([size[1], size[0]])
    factor = ((last - first).clamp(min=1) * padding / unit).amax(-1, keepdim=True)
    half = factor * unit / 2
    return torch.cat([(first + last) / 2 - half, (first + last) / 2 + half], dim=-1)


def cut(image: Tensor, frames: Tensor, size: Size) -> Tensor:
    """The pixels (N, 3, h, w) of frames (N, 4) in an image (3, H, W), at `size` (height, width).

    Interpolated between the nearest pixels, as mmpose's `TopdownAffine` does it. Beyond the image
    all is zero: the mean, where the image is normalised.
    """
    y, x = ((torch.arange(side, device=image.device) + 0.5) for side in size)
    centres = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)  # (h, w, 2)
    places = image_points(centres.flatten(0, 1).expand(len(frames), -1, -1), frames, size)
    shares = places / places.new_tensor([image.shape[2], image.shape[1]])
    grid = (2 * shares - 1).unflatten(1, size).to(image)
    return functional.grid_sample(
        image.expand(len(frames), -1, -1, -1), grid, padding_mode="zeros", align_corners=False
    )


def crop_points(points: Tensor, frames: Tensor, size: Size) -> Tensor:
    """Map points (N, K, 2) of the image to pixels of the crops (height, width) of frames (N, 4)."""
    first, factor = _map(frames, size)
    return (points - first) / factor


def image_points(points: Tensor, frames: Tensor, size: Size) -> Tensor:
    """Map points (N, K, 2) of crops to pixels of the image that the frames (N, 4) lie in."""
    first, factor = _map(frames, size)
    return points * factor + first


def _map(frames: Tensor, size: Size) -> tuple[Tensor, Tensor]:
    """The first corner (N, 1, 2) of frames, and how many pixels of the image one of a crop is."""
    first, last = frames[:, None].split(2, dim=-1)
    return first, (last - first) / frames.new_tensor([size[1], size[0]])
