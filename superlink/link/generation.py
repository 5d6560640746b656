"""Decoding with a cache: which rows route, how slots enter a step, when to stop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from ..errors import ConfigError
from ..interfaces import Backbone, BackboneOutput, ImageFeatures
from .routing import RoutingVocabulary
from .rows import GeneratedRow, Rows

__all__ = ["Feeding", "GeneratedRow", "GenerationOptions", "decode", "generate"]

Feeding = Literal["auto", "block", "stepwise"]


@dataclass(frozen=True)
class GenerationOptions:
    """What a generation may write, and how tokens are picked."""

    max_new_tokens: int = 128
    """Tokens to write at most, slots not counted."""
    max_routes: int | None = None
    """Routing tokens to write at most in one answer; 0 forbids them, None does not count."""
    feeding: Feeding = "auto"
    """How slots enter: `block` all in one forward, `stepwise` one a forward, `auto` as a block
    wherever that is exact."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """For the backbone's sampler, with the names of transformers' `generate`."""

    def __post_init__(self) -> None:
        counts = (self.max_new_tokens, 0 if self.max_routes is None else self.max_routes)
        if not all(isinstance(count, int) and count >= 0 for count in counts):
            raise ConfigError(
                "max_new_tokens and max_routes count, so that they are at least 0. Received: "
                f"max_new_tokens={self.max_new_tokens}, max_routes={self.max_routes}"
            )
        if self.feeding not in get_args(Feeding):
            raise ConfigError(
                f"feeding must be one of {get_args(Feeding)}. Received: {self.feeding!r}"
            )


def generate(
    backbone: Backbone,
    inputs: Mapping[str, Tensor],
    vocabulary: RoutingVocabulary,
    options: GenerationOptions | None = None,
    *,
    image_features: ImageFeatures | None = None,
    forbidden: Sequence[frozenset[str]] | None = None,
) -> list[GeneratedRow]:
    """Write a left-padded batch to its end; the arguments are those of `decode`."""
    rows = [GeneratedRow() for _ in inputs["input_ids"]]
    steps = decode(
        backbone, inputs, vocabulary, options, image_features=image_features, forbidden=forbidden
    )
    for changed in steps:
        for index, row in changed.items():
            rows[index] = row
    return rows


@torch.no_grad()
def decode(
    backbone: Backbone,
    inputs: Mapping[str, Tensor],
    vocabulary: RoutingVocabulary,
    options: GenerationOptions | None = None,
    *,
    image_features: ImageFeatures | None = None,
    forbidden: Sequence[frozenset[str]] | None = None,
) -> Iterator[dict[int, GeneratedRow]]:
    """Write a left-padded batch token by token.

    A row that writes a routing token takes the slots behind it in the very next forward, beside
    the token itself; the other rows get holes there. So routing costs no extra forward, and each
    row gives the states that it gives alone. Where holes would harm a row, slots enter one by one
    while the other rows go on.

    Args:
        backbone: The model, with the link attached.
        inputs: From `Backbone.encode` with `padding_side="left"`.
        vocabulary: The control tokens of the model.
        options: What may be written; None takes the defaults.
        image_features: Of the same inputs, where they are known already.
        forbidden: For each row the routing tokens that it must not write.

    Yields:
        After each forward the rows that have a new token, new states, or have come to their end.
    """
    options = options or GenerationOptions()
    # In a block every row is as wide as the widest, so that each route takes room in all of them.
    num_routes = (
        None if options.max_routes is None else options.max_routes * len(inputs["input_ids"])
    )
    start = backbone.prefill(
        inputs,
        image_features=image_features,
        max_new_tokens=options.max_new_tokens,
        room=None if num_routes is None else num_routes * vocabulary.widest,
        settings=options.settings,
    )
    rows = Rows(backbone, inputs, start, vocabulary, forbidden)
    rows.limit(options.max_new_tokens, options.max_routes)
    out, logits = start.output, start.output.logits[:, -1]  # (B, V)
    while True:
        chosen = rows.waiting()
        if chosen:
            rows.write(chosen, start.sampler.pick(rows.ids, rows.allowed(logits)))
            rows.end(chosen, start.sampler.stops(rows.ids))
        fed = rows.take(_width(rows.lengths(), options.feeding, backbone, out.cache))
        if not fed:
            yield rows.written(chosen)
            return
        out = backbone(rows.columns(fed), cache=out.cache, use_cache=True)
        routed = rows.keep_states(fed, out.last_hidden_state)
        logits = _updated(logits, out, fed)
        yield rows.written([*chosen, *routed])


def _width(lengths: set[int], feeding: Feeding, backbone: Backbone, cache: Any) -> int:
    """How many columns the next forward has, where rows wait with `lengths` ids each."""
    widest = max(lengths, default=0)
    if feeding == "stepwise":
        return min(widest, 1)
    exact = len(lengths) <= 1 or feeding == "block" or backbone.block_safe(cache, widest)
    return widest if exact else 1


def _updated(logits: Tensor, out: BackboneOutput, fed: Mapping[int, Sequence[int]]) -> Tensor:
    """The logits (B, V) after the last column of each row that was fed."""
    rows = torch.tensor([*fed], device=logits.device)
    last = torch.tensor([len(ids) - 1 for ids in fed.values()], device=logits.device)
    if len(fed) == len(logits):
        return out.logits[rows, last]
    return logits.index_copy(0, rows, out.logits[rows, last])
