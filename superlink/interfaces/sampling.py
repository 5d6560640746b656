"""How the next token of each row is picked, and when a row stops."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from ..errors import ConfigError
from .structures import BackboneOutput

__all__ = ["PlainSampler", "Prefill", "Sampler"]


class Sampler(Protocol):
    """Picks tokens for a batch."""

    def pick(self, ids: Tensor, logits: Tensor) -> Tensor:
        """The next id of each row (B,), from the text so far (B, T) and the logits (B, V)."""

    def stops(self, ids: Tensor) -> Tensor:
        """Whether a row ends with the text so far (B, T), as (B,) of bool. End tokens and the limit
        of new tokens are looked after elsewhere."""


@dataclass
class Prefill:
    """What a backbone made of a prompt."""

    output: BackboneOutput
    """Of the prompt, with a cache; at least the last column."""
    sampler: Sampler
    """How it goes on."""
    ids: Tensor | None = None
    """(B, T) what the sampler shall know of the prompt; None: `input_ids`."""
    eos_ids: frozenset[int] | None = None
    """What ends an answer, where a user asked for something else than `Backbone.eos_ids`."""


@dataclass(frozen=True)
class PlainSampler:
    """The sampler of a backbone that brings none, with the names of transformers' `generate`."""

    do_sample: bool = False
    """Whether to draw, or to take the likeliest token."""
    temperature: float = 1.0
    """Divides the logits before a draw."""
    top_k: int = 0
    """Draw among so many likeliest tokens; 0 means all."""
    logits_processor: Sequence[Callable[[Tensor, Tensor], Tensor]] = ()
    """Functions (ids, logits) -> logits, run before a token is picked."""
    stopping_criteria: Sequence[Callable[[Tensor, None], Tensor]] = ()
    """Functions (ids, None) -> (B,) of bool; a row where one of them is true ends."""

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> PlainSampler:
        """Make one of the settings of a generation.

        Raises:
            ConfigError: A setting is unknown here.
        """
        known = cls.__dataclass_fields__
        if unknown := set(settings) - set(known):
            raise ConfigError(
                f"This backbone picks tokens by {', '.join(known)}. Received: {sorted(unknown)}. "
                "Give its `prefill` a sampler of its own to understand more."
            )
        return cls(**settings)

    def pick(self, ids: Tensor, logits: Tensor) -> Tensor:
        """See `Sampler.pick`."""
        for process in self.logits_processor:
            logits = process(ids, logits)
        if not self.do_sample:
            return logits.argmax(-1)
        logits = logits.float() / self.temperature
        if self.top_k:
            least = logits.topk(min(self.top_k, logits.shape[-1])).values[:, -1:]
            logits = logits.masked_fill(logits < least, -torch.inf)
        return torch.multinomial(logits.softmax(-1), 1).squeeze(1)

    def stops(self, ids: Tensor) -> Tensor:
        """See `Sampler.stops`."""
        ended = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
        for criterion in self.stopping_criteria:
            ended = ended | criterion(ids, None)
        return ended
