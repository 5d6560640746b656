"""Calls of superlink as SAM's image stream and targets, and its masks back in the original image.

Coordinates are pixel edges: the centre of the first pixel is (0.5, 0.5).
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from superlink.errors import InputError
from superlink.interfaces import CallInput, Geometry, InstancePrediction

__all__ = ["image_tensor", "instances", "route_masks", "stream_masks"]

Size = tuple[int, int]
_MEAN = torch.tensor((0.485, 0.456, 0.406))  # of ImageNet, as in SAM's own processor
_STD = torch.tensor((0.229, 0.224, 0.225))


def image_tensor(image: Image.Image, side: int, *, keep_ratio: bool) -> tuple[Tensor, Size]:
    """The image in SAM's stream.

    Returns:
        (3, `side`, `side`), normalised, padded with zeros at the right and the bottom; and the
        height and width that the image takes of it.
    """
    longest, size = max(image.size), (side, side)
    if keep_ratio:  # rounded as SAM does: a half goes up
        width, height = (max(1, int(length * side / longest + 0.5)) for length in image.size)
        size = (height, width)
    resized = image.convert("RGB").resize(size[::-1], Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(resized, dtype=np.float32)) / 255  # (h, w, 3)
    pixels = ((pixels - _MEAN) / _STD).permute(2, 0, 1)
    return functional.pad(pixels, (0, side - size[1], 0, side - size[0])), size


def route_masks(call: CallInput, size: Size) -> Tensor:
    """The mask of each route of a call in the original image of `size` (height, width), as bool
    (R, H, W): all its instances together, empty where it has none.

    Raises:
        InputError: The target lacks a key, or holds what no mask or route can be.
    """
    target, routes = call.target or {}, range(len(call.tokens))
    received: object
    labels = torch.as_tensor(target.get("labels", ()), dtype=torch.long).flatten()
    if "labels" not in target or (len(labels) and "masks" not in target):
        expected, received = "masks (N, H, W) and labels (N,), which may be empty", sorted(target)
    elif wrong := set(labels.tolist()).difference(routes):
        expected, received = f"labels from 0 to {len(routes) - 1}, indices of routes", sorted(wrong)
    else:
        masks = torch.as_tensor(target["masks"]) if len(labels) else torch.zeros(0, *size).bool()
        if masks.shape == (len(labels), *size) and masks.dtype == torch.bool:
            return torch.stack([masks[labels == route].any(0) for route in routes])
        expected = f"bool masks {(len(labels), *size)}, one a label, as large as the original image"
        received = f"{masks.dtype} {tuple(masks.shape)}"
    raise InputError(f"A target needs {expected}. Received: {received}, key={call.key!r}")


def stream_masks(
    masks: Tensor, geometry: Geometry, size: Size, cells: int
) -> tuple[Tensor, Tensor]:
    """Masks of the original image in the cells of SAM's masks.

    Args:
        masks: (R, H, W), see `route_masks`.
        geometry: From the original image to the stream.
        size: Height and width that the image takes of the stream.
        cells: Height and width of SAM's masks.

    Returns:
        (R, `cells`, `cells`) shares of each cell that a mask covers, and (`cells`, `cells`) shares
        that lie in the image: the rest is padding.
    """
    stream = _centres(geometry.size)
    points = geometry.points_to_original(stream)  # (S, S, 2)
    seen = _inside(stream, size) & _inside(points, geometry.original_size)
    found = [_values_at(mask.float(), points) * seen for mask in masks]
    # A cell is wider than a pixel of the stream: its mean, not a sample of it.
    means = functional.adaptive_avg_pool2d(torch.stack([seen.float(), *found]), cells)
    return means[1:], means[0]


def instances(
    logits: Tensor, ious: Tensor, geometry: Geometry, size: Size, phrases: tuple[str, ...]
) -> InstancePrediction:
    """The prediction of one call: an instance for each route whose mask is not empty.

    Args:
        logits: (R, h, w) of the whole stream.
        ious: (R,) the IoU that SAM expects of each mask.
        geometry: From the original image to the stream.
        size: Height and width that the image takes of the stream.
        phrases: The phrase of each route.
    """
    # One by one: an original image may be large.
    masks = torch.stack([_original_mask(one, geometry, size).cpu() for one in logits])
    scores, labels = ious.clamp(0, 1).cpu().sort(descending=True, stable=True)
    found = masks.any((1, 2))[labels]
    scores, labels = scores[found], labels[found]
    return InstancePrediction(_boxes(masks[labels]), scores, labels, phrases, masks[labels])


def _original_mask(logits: Tensor, geometry: Geometry, size: Size) -> Tensor:
    """The mask (H, W) in the original image of logits (h, w) of the whole stream."""
    points = geometry.points_to_stream(_centres(geometry.original_size).to(logits.device))
    values = _values_at(logits, points * (logits.shape[-1] / geometry.size[1]))
    return (values > 0) & _inside(points, size)


def _boxes(masks: Tensor) -> Tensor:
    """The boxes (N, 4) around masks (N, H, W), none of them empty."""
    edges = []
    for line in (masks.any(1).byte(), masks.any(2).byte()):  # along x, along y
        edges.append((line.argmax(1), line.shape[1] - line.flip(1).argmax(1)))
    (x1, x2), (y1, y2) = edges
    return torch.stack([x1, y1, x2, y2], dim=1).float()


def _centres(size: Size) -> Tensor:
    """The centres (H, W, 2) of all pixels, as (x, y)."""
    y, x = (torch.arange(length) + 0.5 for length in size)
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)


def _inside(points: Tensor, size: Size) -> Tensor:
    """Which points (..., 2) lie in an image of `size` (height, width)."""
    return (points >= 0).all(-1) & (points[..., 0] < size[1]) & (points[..., 1] < size[0])


def _values_at(image: Tensor, points: Tensor) -> Tensor:
    """Bilinear values of an image (H, W) at points (h, w, 2)."""
    height, width = image.shape
    grid = points * (2 / points.new_tensor([width, height])) - 1
    return functional.grid_sample(
        image[None, None], grid[None], padding_mode="border", align_corners=False
    )[0, 0]
