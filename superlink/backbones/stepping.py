"""How new columns, some of them holes, enter a cached step of a model of transformers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["Cache", "extend", "is_block_safe"]


@dataclass
class Cache:
    """What a model has read, with all that transformers keeps beside the key-value cache."""

    ids: Tensor
    """(B, T) every column so far, holes included."""
    arguments: dict[str, Any]
    """The arguments of the last forward, before they were cut to its columns."""
    output: Any
    """Its output, which holds the key-value cache."""


def extend(model: Any, cache: Cache, ids: Tensor, keep: Tensor) -> tuple[Tensor, dict[str, Any]]:
    """All ids, and the arguments of a step that reads the new `ids` (B, W) of them.

    The model's own rule moves masks, positions and token types on; then holes, 0 in `keep` (B, W),
    are taken out of the mask, and take no position.
    """
    encodes, width = model.config.is_encoder_decoder, ids.shape[1]
    arguments = dict(cache.arguments)
    for _ in range(width):  # one by one: some models move on by one column whatever they are told
        arguments = model._update_model_kwargs_for_generation(
            cache.output, arguments, is_encoder_decoder=encodes, num_new_tokens=1
        )
    if not bool(keep.all()):
        _make_holes(cache, arguments, keep, "decoder_" if encodes else "")
    return torch.cat([cache.ids, ids], dim=1), arguments


def _make_holes(cache: Cache, arguments: dict[str, Any], keep: Tensor, prefix: str) -> None:
    mask, positions = f"{prefix}attention_mask", f"{prefix}position_ids"
    before = cache.arguments.get(mask)
    if before is None:  # `generate` leaves a mask out that hides nothing
        before = torch.ones_like(cache.ids)
    arguments[mask] = torch.cat([before, keep.to(before.dtype)], dim=-1)
    if (past := cache.arguments.get(positions)) is not None:
        past = past.expand(*past.shape[:-2], len(keep), past.shape[-1])
        new = past[..., -1:] + keep.cumsum(1).to(past.dtype)  # (..., B, W)
        arguments[positions] = torch.cat([past, new], dim=-1)


def is_block_safe(cache: Cache, width: int) -> bool:
    """Whether `width` columns with holes leave every row as it is alone.

    State of linear attention has no mask, a sliding window would be filled by holes, and a model
    that is not told positions counts holes as text.
    """
    past = getattr(cache.output, "past_key_values", None)
    layers = getattr(past, "layers", None)
    if layers is None or cache.arguments.get("position_ids") is None:
        return False
    length = cache.ids.shape[1] + width
    return all(_keeps_all(layer, length) for layer in layers)


def _keeps_all(layer: Any, length: int) -> bool:
    if hasattr(layer, "conv_states") or hasattr(layer, "recurrent_states"):
        return False
    if getattr(layer, "is_sliding", False):
        window = getattr(layer, "sliding_window", None) or layer.max_cache_len
        return length < int(window)
    return True
