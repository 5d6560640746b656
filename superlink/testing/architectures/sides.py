"""Tensors that models want beside ids and pixels, by the name of the argument."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .format import PixelFormat

__all__ = ["SIDES", "Side"]

Side = Callable[[Tensor, int, PixelFormat], Tensor | None]
"""Tensor from the ids (B, T), the id of the image token, and the format; None: not needed."""


def cross_attention_mask(ids: Tensor, image_id: int, form: PixelFormat) -> Tensor | None:
    """Text sees the image before it, or the run of images: (B, T, N, tiles)."""
    here = ids == image_id
    number = here.cumsum(1)  # (B, T)
    run = (here & ~torch.nn.functional.pad(here, (1, -1))).cumsum(1)
    masks = []
    for image in range(1, int(number.max()) + 1):
        own = torch.where(here & (number == image), run, 0).amax(1, keepdim=True)
        masks.append((run == own) & (number >= image))
    if not masks:
        return None
    # each image fills the first of its tiles alone
    mask = torch.stack(masks, dim=2).long()[..., None]
    return torch.nn.functional.pad(mask, (0, form.num_tiles - 1))


def image_attention_mask(ids: Tensor, image_id: int, form: PixelFormat) -> Tensor | None:
    """As `cross_attention_mask`, without tiles: (B, T, N)."""
    mask = cross_attention_mask(ids, image_id, form)
    if mask is None:
        return ids.new_zeros(*ids.shape, 1) if form.blank else None
    return mask[..., 0]


def image_embeds_position_mask(ids: Tensor, image_id: int, form: PixelFormat) -> Tensor | None:
    """Where the tokens of images are: (B, T)."""
    here = ids == image_id
    return here if here.any() else None


def qformer_input_ids(ids: Tensor, image_id: int, form: PixelFormat) -> Tensor:
    """The first turn again, for the encoder that asks images for what it names: (B, Q).

    Later turns are not in it, so that an answer does not change what the images tell.
    """
    ended = (ids == form.end_id).cumsum(1) > 0
    keep = (ids != image_id) & (ids != form.pad_id) & ~ended
    texts = [row[kept] for row, kept in zip(ids, keep, strict=True)]
    return torch.nn.utils.rnn.pad_sequence(texts, True, form.pad_id)


def qformer_attention_mask(ids: Tensor, image_id: int, form: PixelFormat) -> Tensor:
    """Where `qformer_input_ids` has words: (B, Q)."""
    return (qformer_input_ids(ids, image_id, form) != form.pad_id).long()


def bbox(ids: Tensor, image_id: int, form: PixelFormat) -> Tensor:
    """The whole page as the box of each word: (B, T, 4)."""
    return torch.tensor([0.0, 0.0, 1.0, 1.0]).repeat(*ids.shape, 1)


SIDES: dict[str, Side] = {
    side.__name__: side
    for side in (
        cross_attention_mask,
        image_attention_mask,
        image_embeds_position_mask,
        qformer_input_ids,
        qformer_attention_mask,
        bbox,
    )
}
"""All such tensors, by the name of the argument."""
