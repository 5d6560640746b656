"""Layouts: how the pixels of a batch of images lie in tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .format import PixelFormat

__all__ = ["LAYOUTS", "Pixels", "Rows"]

Rows = Sequence[Sequence[Image.Image]]
"""The images of each text of a batch."""
Pixels = tuple[dict[str, Tensor], list[int]]
"""Tensors by argument, and the units of each image, to count its tokens by."""


def nothing(rows: Rows, form: PixelFormat) -> Pixels:
    """No tensors: the model sees text alone."""
    return {}, [0 for row in rows for _ in row]


def images(rows: Rows, form: PixelFormat) -> Pixels:
    """One square an image: pixel_values (N, 3, h, w)."""
    values = [resized(image, form.height, form.width) for row in rows for image in row]
    return {"pixel_values": torch.stack(values)}, [1] * len(values)


def sized(rows: Rows, form: PixelFormat) -> Pixels:
    """Images of several shapes, padded to one: pixel_values (N, 3, H, W), image_sizes (N, 2)."""
    flat = [image for row in rows for image in row]
    shapes = [_shape(image, form) for image in flat]
    height, width = (max(sides) for sides in zip(*shapes, strict=True))
    values = torch.zeros(len(flat), 3, height, width)
    for value, image, (h, w) in zip(values, flat, shapes, strict=True):
        value[:, :h, :w] = resized(image, h, w)
    units = [h * w // form.patch_size**2 for h, w in shapes]
    return {"pixel_values": values, "image_sizes": torch.tensor(shapes)}, units


def tiles(rows: Rows, form: PixelFormat) -> Pixels:
    """The whole image and its two halves: pixel_values (N, 3, 3, h, w), image_sizes (N, 2)."""
    values = []
    for image in (image for row in rows for image in row):
        wide = resized(image, form.height, 2 * form.width)
        values.append(torch.stack([resized(image, form.height, form.width), *_halves(wide)]))
    sizes = torch.tensor([[form.height, 2 * form.width]] * len(values))
    return {"pixel_values": torch.stack(values), "image_sizes": sizes}, [1] * len(values)


def rows(rows: Rows, form: PixelFormat) -> Pixels:
    """The images of each text, filled up with zeros: pixel_values (B, N, 3, h, w) and a mask."""
    return _filled(rows, form)


def _filled(rows: Rows, form: PixelFormat) -> Pixels:
    most = max(1, *(len(row) for row in rows))
    values = torch.zeros(len(rows), most, 3, form.height, form.width)
    mask = torch.zeros(len(rows), most, form.height, form.width, dtype=torch.long)
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            values[i, j], mask[i, j] = resized(image, form.height, form.width), 1
    units = [1 for row in rows for _ in row]
    return {"pixel_values": values, "pixel_attention_mask": mask}, units


def aspects(rows: Rows, form: PixelFormat) -> Pixels:
    """Each image in the first of its tiles: pixel_values (B, N, tiles, 3, h, w), ids and a mask."""
    plain, units = _filled(rows, form)
    whole = plain["pixel_values"]  # (B, N, 3, h, w)
    values = whole.new_zeros(*whole.shape[:2], form.num_tiles, *whole.shape[2:])
    values[:, :, 0] = whole
    ids = torch.tensor([[int(j < len(row)) for j in range(whole.shape[1])] for row in rows])
    mask = torch.zeros(*ids.shape, form.num_tiles, dtype=torch.long)
    mask[:, :, 0] = ids
    mask[:, :, 0] = 1  # the library counts one tile for images that are not there
    return {"pixel_values": values, "aspect_ratio_ids": ids, "aspect_ratio_mask": mask}, units


def grid(rows: Rows, form: PixelFormat) -> Pixels:
    """Patches of images of several shapes: pixel_values (P, 3 t p p), image_grid_thw (N, 3)."""
    values, units = [], []
    shapes = []
    for image in (image for row in rows for image in row):
        patches, shape = merged_grid(image, form)
        values.append(patches[:, :, None].expand(-1, -1, form.temporal_patch_size, -1, -1))
        shapes.append([1, *shape])
        units.append(len(patches))
    return {
        "pixel_values": torch.cat(values).flatten(1),
        "image_grid_thw": torch.tensor(shapes),
    }, units


def square_patches(rows: Rows, form: PixelFormat) -> Pixels:
    """As `grid`, with patches that keep their shape: pixel_values (P, 3, p, p)."""
    tensors, units = grid(rows, form)
    size = form.patch_size
    values = tensors["pixel_values"].reshape(-1, 3, form.temporal_patch_size, size, size)
    return tensors | {"pixel_values": values[:, :, 0]}, units


def flattened(rows: Rows, form: PixelFormat) -> Pixels:
    """Patches after their row and column, from 1: flattened_patches (N, P, 2 + 3 p p)."""
    values = []
    for image in (image for row in rows for image in row):
        patches = square_grid(image, form)
        values.append(torch.cat([places(form) + 1, patches.flatten(1)], dim=1))
    return {"flattened_patches": torch.stack(values)}, [1] * len(values)


def positions(rows: Rows, form: PixelFormat) -> Pixels:
    """Patches with column and row: pixel_values (N, P, 3 p p), image_position_ids (N, P, 2)."""
    flat = [image for row in rows for image in row]
    values = torch.stack([square_grid(image, form).flatten(1) for image in flat])
    where = places(form).flip(1).long().expand(len(flat), -1, -1)
    return {"pixel_values": values, "image_position_ids": where}, [1] * len(flat)


def shapes(rows: Rows, form: PixelFormat) -> Pixels:
    """Patches of a known grid: pixel_values (N, P, p p 3), spatial_shapes (N, 2) and a mask."""
    flat = [image for row in rows for image in row]
    values = torch.stack(
        [square_grid(image, form).permute(0, 2, 3, 1).flatten(1) for image in flat]
    )
    shape = [form.height // form.patch_size, form.width // form.patch_size]
    return {
        "pixel_values": values,
        "spatial_shapes": torch.tensor([shape] * len(flat)),
        "pixel_attention_mask": torch.ones(values.shape[:2], dtype=torch.long),
    }, [1] * len(flat)


LAYOUTS: dict[str, Callable[[Rows, PixelFormat], Pixels]] = {
    layout.__name__: layout
    for layout in (
        *(nothing, images, sized, tiles, rows, aspects),
        *(grid, square_patches, flattened, positions, shapes),
    )
}
"""All layouts, by name."""


def resized(image: Image.Image, height: int, width: int) -> Tensor:
    """Pixels (3, height, width) from -1 to 1."""
    small = image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.asarray(small, dtype=np.float32) / 127.5 - 1).permute(2, 0, 1)


def _halves(wide: Tensor) -> Sequence[Tensor]:
    halves: Sequence[Tensor] = wide.chunk(2, dim=2)
    return halves


def _shape(image: Image.Image, form: PixelFormat) -> tuple[int, int]:
    """Height and width near the shape of an image: the longer side is the format's."""
    unit = form.patch_size * form.merge_size
    scale = max(form.height, form.width) / max(image.size)
    height, width = (max(unit, round(side * scale / unit) * unit) for side in image.size[::-1])
    return height, width


def merged_grid(image: Image.Image, form: PixelFormat) -> tuple[Tensor, list[int]]:
    """Patches (P, 3, p, p) in the format's order, and how many rows and columns they have."""
    p, m = form.patch_size, form.merge_size
    height, width = _shape(image, form)
    values = resized(image, height, width)
    blocks = values.reshape(3, height // p // m, m, p, width // p // m, m, p)
    order = (1, 2, 4, 5) if form.row_by_row else (1, 4, 2, 5)
    patches = blocks.permute(*order, 0, 3, 6).reshape(-1, 3, p, p)
    return patches, [height // p, width // p]


def square_grid(image: Image.Image, form: PixelFormat) -> Tensor:
    """Patches (P, 3, p, p) of the format's own size, row by row."""
    p = form.patch_size
    values = resized(image, form.height, form.width)
    blocks = values.reshape(3, form.height // p, p, form.width // p, p)
    return blocks.permute(1, 3, 0, 2, 4).reshape(-1, 3, p, p)


def places(form: PixelFormat) -> Tensor:
    """Row and column of each patch (P, 2)."""
    rows, columns = form.height // form.patch_size, form.width // form.patch_size
    return torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).float()
