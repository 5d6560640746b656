"""One forward of a model of transformers: a prompt, or new columns behind a cache, some of them
holes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..interfaces import BackboneOutput, keep_columns
from ..link import StateTap
from .anatomy import accepted, first_position, image_id

__all__ = ["Cache", "Columns", "extend", "is_block_safe", "run", "with_positions"]


@dataclass
class Columns:
    """What a forward reads, with all that a model is given beside it."""

    model: Any
    """The model that runs; some outer ones let an inner one write."""
    ids: Tensor
    """(B, T) every column so far, holes included."""
    arguments: dict[str, Any]
    """All else: masks, positions, pixels, for every column so far."""
    num_new: int | None = None
    """How many columns, the last ones, are new; None where all are."""


@dataclass
class Cache:
    """What a model has read."""

    read: Columns
    """All of it."""
    output: Any
    """The output of the last forward, which holds the key-value cache."""


def with_positions(model: Any, ids: Tensor, arguments: dict[str, Any]) -> dict[str, Any]:
    """Add positions by the model's own rule, which knows about padding and images."""
    if "position_ids" not in accepted(model):
        return arguments
    positions = model._prepare_position_ids_for_generation(ids, dict(arguments))
    return arguments | {"position_ids": positions + first_position(model)}


def run(
    head: nn.Module, columns: Columns, *, use_cache: bool, logits_to_keep: int | Tensor
) -> BackboneOutput:
    """Run a model on its new columns."""
    model, width = columns.model, columns.num_new
    cached = width is not None  # whoever reads a cache also writes it
    arguments = columns.arguments | {"use_cache": use_cache or cached}
    prepared = model.prepare_inputs_for_generation(
        columns.ids, next_sequence_length=width, is_first_iteration=not cached, **arguments
    )
    num_columns = _num_columns(columns) if width is None else width
    if "position_ids" in arguments and prepared.get("position_ids") is None:
        # Some models drop them, and count columns instead: holes and padding too.
        prepared["position_ids"] = arguments["position_ids"][..., -num_columns:].contiguous()
    # Where images stand in front of the text, and not in it, columns are counted from behind.
    counted = isinstance(logits_to_keep, int) or image_id(model.config) is not None
    asked = "logits_to_keep" in accepted(model)
    if asked:
        prepared["logits_to_keep"] = logits_to_keep if counted else 0
    with StateTap().on(head) as tap:
        out = model(**prepared, return_dict=True)
    states, logits = tap.states[:, -num_columns:], out.logits[:, -num_columns:]
    if not (asked and counted):
        states, logits = (keep_columns(value, logits_to_keep) for value in (states, logits))
    kept = None
    if use_cache:
        out.logits = None  # long, and nothing of the next step
        kept = Cache(Columns(model, columns.ids, arguments), out)
    return BackboneOutput(states, logits, kept)


def extend(cache: Cache, ids: Tensor, keep: Tensor) -> Columns:
    """What was read and the new `ids` (B, W).

    The model's own rule moves masks, positions and token types on; then holes, 0 in `keep` (B, W),
    are taken out of the mask, and take no position.
    """
    model, arguments = cache.read.model, dict(cache.read.arguments)
    encodes, width = model.config.is_encoder_decoder, ids.shape[1]
    for _ in range(width):  # one by one: some models move on by one column whatever they are told
        arguments = model._update_model_kwargs_for_generation(
            cache.output, arguments, is_encoder_decoder=encodes, num_new_tokens=1
        )
    if not bool(keep.all()):
        _make_holes(cache.read, arguments, keep, "decoder_" if encodes else "")
    return Columns(model, torch.cat([cache.read.ids, ids], dim=1), arguments, width)


def _make_holes(read: Columns, arguments: dict[str, Any], keep: Tensor, prefix: str) -> None:
    mask, positions = f"{prefix}attention_mask", f"{prefix}position_ids"
    before = read.arguments.get(mask)
    if before is None:  # `generate` leaves a mask out that hides nothing
        before = keep.new_ones(len(keep), _num_columns(read))
    arguments[mask] = torch.cat([before, keep.to(before.dtype)], dim=-1)
    if (past := read.arguments.get(positions)) is not None:
        past = past.expand(*past.shape[:-2], len(keep), past.shape[-1])
        new = past[..., -1:] + keep.cumsum(1).to(past.dtype)  # (..., B, W)
        arguments[positions] = torch.cat([past, new], dim=-1)


def _num_columns(read: Columns) -> int:
    """Columns that were read; those of a prompt of embeddings have no ids."""
    embeds = read.arguments.get("inputs_embeds")
    num_ids: int = read.ids.shape[1]
    return num_ids if embeds is None else max(int(embeds.shape[1]), num_ids)


def is_block_safe(cache: Cache, width: int) -> bool:
    """Whether `width` columns with holes leave every row as it is alone.

    State of linear attention has no mask, a sliding window would be filled by holes, and a model
    that is not told positions counts holes as text.
    """
    past = getattr(cache.output, "past_key_values", None)
    layers = getattr(past, "layers", None)
    if layers is None or cache.read.arguments.get("position_ids") is None:
        return False
    length = cache.read.ids.shape[1] + width
    return all(_keeps_all(layer, length) for layer in layers)


def _keeps_all(layer: Any, length: int) -> bool:
    if hasattr(layer, "conv_states") or hasattr(layer, "recurrent_states"):
        return False
    if getattr(layer, "is_sliding", False):
        window = getattr(layer, "sliding_window", None) or layer.max_cache_len
        return length < int(window)
    return True
