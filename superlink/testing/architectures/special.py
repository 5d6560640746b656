"""Functions that entries of the YAML files name, for what data alone cannot say."""

from __future__ import annotations

import torch
from torch import Tensor

from .format import PixelFormat
from .pixels import Pixels, Rows, grid, images, shapes, sized, square_grid
from .pixels import rows as filled

__all__ = [
    "bare_grid",
    "bare_rows",
    "blocks",
    "clips",
    "counted_rows",
    "decoder_input_ids",
    "grid_with_ends",
    "grid_with_merges",
    "patches",
    "pooled_squares",
    "sized_lines",
    "strips",
    "two_sizes",
    "volumes",
]


def sized_lines(rows: Rows, form: PixelFormat) -> Pixels:
    """As `sized`, with a unit more at the end of each row of patches."""
    tensors, _ = sized(rows, form)
    size = form.patch_size
    return tensors, [h // size * (w // size + 1) for h, w in tensors["image_sizes"].tolist()]


def two_sizes(rows: Rows, form: PixelFormat) -> Pixels:
    """As `images`, and once more twice as large: high_res_pixel_values (N, 3, 2 h, 2 w)."""
    large = form.model_copy(update={"height": 2 * form.height, "width": 2 * form.width})
    tensors, units = images(rows, form)
    return tensors | {"high_res_pixel_values": images(rows, large)[0]["pixel_values"]}, units


def patches(rows: Rows, form: PixelFormat) -> Pixels:
    """Flat patches without their places: pixel_values (N, P, p p 3)."""
    tensors, units = shapes(rows, form)
    return {"pixel_values": tensors["pixel_values"]}, units


def clips(rows: Rows, form: PixelFormat) -> Pixels:
    """Each image as a film of one frame: pixel_values (N, 1, 3, h, w)."""
    tensors, units = images(rows, form)
    return {"pixel_values": tensors["pixel_values"][:, None]}, units


def bare_rows(rows: Rows, form: PixelFormat) -> Pixels:
    """As `rows`, without a mask: pixel_values (B, N, 3, h, w)."""
    tensors, units = filled(rows, form)
    return {"pixel_values": tensors["pixel_values"]}, units


def counted_rows(rows: Rows, form: PixelFormat) -> Pixels:
    """As `rows`, with a mask of images in place of pixels: pixel_attention_mask (B, N)."""
    tensors, units = filled(rows, form)
    mask = tensors["pixel_attention_mask"].flatten(2).any(-1)
    return {"pixel_values": tensors["pixel_values"], "pixel_attention_mask": mask}, units


def grid_with_ends(rows: Rows, form: PixelFormat) -> Pixels:
    """As `grid`; a token ends each row of patches, and two are around the image."""
    tensors, _ = grid(rows, form)
    high, wide = (tensors["image_grid_thw"][:, 1:] // form.merge_size).unbind(1)
    return tensors, (high * (wide + 1) + 2).tolist()


def grid_with_merges(rows: Rows, form: PixelFormat) -> Pixels:
    """As `grid`, with the patches along one side of a token: image_merge_sizes (N,)."""
    tensors, units = grid(rows, form)
    return tensors | {"image_merge_sizes": torch.tensor([form.merge_size] * len(units))}, units


def blocks(rows: Rows, form: PixelFormat) -> Pixels:
    """Merged patches with channels last: pixel_values (P, m p, m p, 3), image_grid_thw (N, 3)."""
    size = form.patch_size * form.merge_size
    whole = form.model_copy(update={"patch_size": size, "merge_size": 1, "temporal_patch_size": 1})
    tensors, units = grid(rows, whole)
    values = tensors["pixel_values"].reshape(-1, 3, size, size).permute(0, 2, 3, 1)
    return tensors | {"pixel_values": values}, units


def volumes(rows: Rows, form: PixelFormat) -> Pixels:
    """Patches of a still film with channels last: pixel_values (P, t, p, p, 3)."""
    tensors, units = blocks(rows, form)
    frames = tensors["pixel_values"][:, None].expand(-1, form.temporal_patch_size, -1, -1, -1)
    return {"pixel_values": frames.contiguous()}, units


def bare_grid(rows: Rows, form: PixelFormat) -> Pixels:
    """As `grid`, of images without time: image_grid_hw (N, 2)."""
    tensors, units = grid(rows, form)
    return {
        "pixel_values": tensors["pixel_values"],
        "image_grid_hw": tensors["image_grid_thw"][:, 1:],
    }, units


def strips(rows: Rows, form: PixelFormat) -> Pixels:
    """As `grid`, with patches side by side: pixel_values (1, 3, p, P p), target_sizes (N, 2)."""
    tensors, units = grid(rows, form)
    size = form.patch_size
    values = tensors["pixel_values"].reshape(-1, 3, size, size).permute(1, 2, 0, 3)
    return {
        "pixel_values": values.reshape(1, 3, size, -1),
        "target_sizes": tensors["image_grid_thw"][:, 1:],
    }, units


def pooled_squares(rows: Rows, form: PixelFormat) -> Pixels:
    """Patches of squares, and those of each token: pixel_values (N, P, 3 p p).

    image_token_pooling (N tokens, m m) has their indices, image_grids (N, 4) how many tokens the
    rows and columns of an image have, and of its parts, which are none.
    """
    values = torch.stack([square_grid(image, form).flatten(1) for row in rows for image in row])
    m = form.merge_size
    down, across = form.height // form.patch_size // m, form.width // form.patch_size // m
    places = torch.arange(values.shape[0] * values.shape[1]).reshape(-1, down, m, across, m)
    return {
        "pixel_values": values,
        "image_token_pooling": places.transpose(2, 3).reshape(-1, m * m),
        "image_grids": torch.tensor([[down, across, 0, 0]] * len(values)),
    }, [1] * len(values)


def decoder_input_ids(ids: Tensor, image_id: int, form: PixelFormat) -> Tensor:
    """The text again, as the one to be changed: (B, T)."""
    return ids
