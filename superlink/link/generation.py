"""Greedy decoding with a cache: which rows route, how slots enter a step, when to stop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..interfaces import Backbone, BackboneOutput, ImageFeatures
from .routing import Binding, RoutingVocabulary

__all__ = ["GeneratedRow", "generate"]


@dataclass
class GeneratedRow:
    """What the LLM wrote for one row."""

    ids: list[int] = field(default_factory=list)
    """Text and routing tokens, without slots and without the end token."""
    states: list[Tensor] = field(default_factory=list)
    """(Q, C) for each routing token in `ids`, in their order."""
    complete: bool = False
    """Whether the LLM ended the answer itself."""


@torch.no_grad()
def generate(
    backbone: Backbone,
    inputs: Mapping[str, Tensor],
    vocabulary: RoutingVocabulary,
    *,
    max_new_tokens: int,
    image_features: ImageFeatures | None = None,
    forbidden: Sequence[frozenset[str]] | None = None,
) -> list[GeneratedRow]:
    """Decode a left-padded batch greedily.

    A row that writes a routing token takes the slots behind it in the very next forward, beside
    the token itself; the other rows get holes there. So routing costs no extra forward, and each
    row gives the states that it gives alone.

    Args:
        backbone: The model, with the link attached.
        inputs: From `Backbone.encode` with `padding_side="left"`.
        vocabulary: The control tokens of the model.
        max_new_tokens: Tokens to write at most, slots not counted.
        image_features: Of the same inputs, where they are known already.
        forbidden: For each row the routing tokens that it must not write.
    """
    batch_size, device = len(inputs["input_ids"]), inputs["input_ids"].device
    rows = [GeneratedRow() for _ in range(batch_size)]
    bias = _bias(vocabulary, forbidden or [frozenset()] * batch_size, device)
    eos = backbone.eos_ids()
    running = set(range(batch_size))
    out = backbone(inputs, use_cache=True, image_features=image_features, logits_to_keep=1)
    logits = out.logits[:, -1]  # (B, V)
    for step in range(max_new_tokens):
        chosen = _with_bias(logits, bias).argmax(-1).tolist()
        ended = {row for row in running if chosen[row] in eos}
        running -= ended
        for row in ended:
            rows[row].complete = True
        for row in running:
            rows[row].ids.append(chosen[row])
        routing = {
            row: binding for row in running if (binding := vocabulary.binding_of(chosen[row]))
        }
        if not running or (step == max_new_tokens - 1 and not routing):
            break
        block, keep = _block(chosen, running, routing, vocabulary, device)
        out = backbone(
            {"input_ids": block, "attention_mask": keep}, cache=out.cache, use_cache=True
        )
        for row, binding in routing.items():
            states = out.last_hidden_state[row, 1 : 1 + binding.num_queries]
            rows[row].states.append(states)
        logits = _last_logits(out, keep)
    return rows


def _bias(
    vocabulary: RoutingVocabulary, forbidden: Sequence[frozenset[str]], device: torch.device
) -> dict[int, Tensor]:
    """For each row with something to forbid, the ids; slots are never written by any row."""
    slots = [vocabulary.ids[slot] for bank in vocabulary.slots.values() for slot in bank]
    return {
        row: torch.tensor(slots + [vocabulary.ids[token] for token in tokens], device=device)
        for row, tokens in enumerate(forbidden)
    }


def _with_bias(logits: Tensor, bias: Mapping[int, Tensor]) -> Tensor:
    logits = logits.clone()
    for row, ids in bias.items():
        logits[row, ids[ids < logits.shape[-1]]] = -torch.inf
    return logits


def _block(
    chosen: Sequence[int],
    running: set[int],
    routing: Mapping[int, Binding],
    vocabulary: RoutingVocabulary,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """The next columns (B, W) and their mask: [token, slots], [token, holes], or holes alone."""
    width = 1 + max((binding.num_queries for binding in routing.values()), default=0)
    block = torch.zeros(len(chosen), width, dtype=torch.long, device=device)
    keep = torch.zeros_like(block)
    for row in running:
        binding = routing.get(row)
        ids = [chosen[row], *(vocabulary.slot_ids(binding) if binding else ())]
        block[row, : len(ids)] = torch.tensor(ids, device=device)
        keep[row, : len(ids)] = 1
    return block, keep


def _last_logits(out: BackboneOutput, keep: Tensor) -> Tensor:
    last = (keep.sum(1) - 1).clamp(min=0)
    return out.logits[torch.arange(len(keep), device=keep.device), last]
