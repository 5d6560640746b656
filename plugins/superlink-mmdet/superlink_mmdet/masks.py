"""Masks between the original image and the stream."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from superlink.errors import InputError
from superlink.interfaces import CallInput, Geometry

__all__ = ["mask_targets", "original_masks", "query_masks", "stream_masks"]

_CHUNK = 2**24
"""The most logits that are resized at once: 64 MB."""


def mask_targets(call: CallInput, geometry: Geometry, visible: Tensor) -> Tensor | None:
    """The masks (N, H, W) of a call's `visible` (M,) boxes at the size of the stream, of bool;
    None where the target has none.

    Raises:
        InputError: There are more or fewer than M masks, or they do not fit the original image.
    """
    given = (call.target or {}).get("masks")
    if given is None:
        return None
    masks = torch.as_tensor(given)
    if not len(visible) and not len(masks):
        return torch.zeros(0, *geometry.size, dtype=torch.bool)
    expected = (len(visible), *geometry.original_size)
    if masks.shape != expected or masks.is_floating_point():
        raise InputError(
            f"masks must be {expected}, one for each box and in pixels of the original image, and "
            f"of bool. Received: shape={tuple(masks.shape)}, dtype={masks.dtype}, key={call.key!r}"
        )
    return stream_masks(masks[visible] != 0, geometry)


def stream_masks(masks: Tensor, geometry: Geometry) -> Tensor:
    """Map `masks` (N, H, W) of the original image to the stream.

    A pixel of the stream gets the value at its centre: exact where sizes stay, and as large on
    average where they do not. What lies outside of the original image is false.
    """
    rows, columns = (
        _nearest(geometry.size[i], geometry.scale[1 - i], geometry.offset[1 - i], limit)
        for i, limit in enumerate(masks.shape[1:])
    )
    inside = (rows >= 0)[:, None] & (columns >= 0)
    return masks[:, rows.clamp(min=0)][:, :, columns.clamp(min=0)] & inside


def _nearest(length: int, scale: float, offset: float, limit: int) -> Tensor:
    """For each of `length` cells of the stream the cell of the original, below `limit`, that its
    centre lies in; -1 where there is none."""
    centres = torch.arange(length, dtype=torch.float64) + 0.5
    cells = ((centres - offset) / scale).floor().long()
    return cells.masked_fill((cells < 0) | (cells >= limit), -1)


def query_masks(embeddings: Tensor, pixels: Tensor, geometry: Geometry, queries: Tensor) -> Tensor:
    """The masks of some object queries.

    Args:
        embeddings: (Q, C) of all queries.
        pixels: (C, h, w) of the stream.
        geometry: The stream's map.
        queries: (N,) which; one may come several times, for several routes.

    Returns:
        (N, H, W) of bool, on the host, at the size of the original image.
    """
    chosen, places = queries.unique(return_inverse=True)
    logits = torch.einsum("nc,chw->nhw", embeddings[chosen.to(embeddings.device)], pixels)
    return original_masks(logits, geometry)[places]


def original_masks(logits: Tensor, geometry: Geometry) -> Tensor:
    """Masks (N, H, W) of the original image, on the host, of `logits` (N, h, w) that cover the
    stream: true where a logit, interpolated at the centre of a pixel, is positive. What the stream
    does not show is false."""
    height, width = geometry.original_size
    masks = torch.zeros(len(logits), height, width, dtype=torch.bool)
    if not len(logits):
        return masks
    y, x = (torch.arange(side, device=logits.device) + 0.5 for side in (height, width))
    centres = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)  # (H, W, 2)
    shares = geometry.points_to_stream(centres) / centres.new_tensor(geometry.size[::-1])
    shown = ((shares >= 0) & (shares <= 1)).all(-1)
    number = max(1, _CHUNK // (height * width))
    # Masks are the channels of one picture, so that each place is looked up once.
    for part, chunk in zip(masks.split(number), logits.split(number), strict=True):
        values = functional.grid_sample(
            chunk[None], 2 * shares[None] - 1, padding_mode="border", align_corners=False
        )
        part.copy_((values[0] > 0) & shown)
    return masks
