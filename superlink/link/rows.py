"""The rows of a batch that is written: what each has, what it must be fed, when it ends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..interfaces import Backbone, Prefill
from .routing import Binding, RoutingVocabulary

__all__ = ["GeneratedRow", "Rows"]


@dataclass
class GeneratedRow:
    """What the LLM wrote for one row."""

    ids: list[int] = field(default_factory=list)
    """Text and routing tokens, without slots and without the end token."""
    states: list[Tensor] = field(default_factory=list)
    """(Q, C) for each routing token in `ids`, in their order; (0, C) where its decoder is told
    words alone."""
    complete: bool = False
    """Whether the LLM ended the answer itself."""


@dataclass
class _Row:
    """One row while it is written."""

    blocked: set[int]
    """Ids that it must not write."""
    room: int | None
    """Positions that are left in the context; None where there is no limit."""
    written: GeneratedRow = field(default_factory=GeneratedRow)
    running: bool = True
    """Whether it still picks tokens."""
    pending: list[int] = field(default_factory=list)
    """Ids that must be fed before it picks the next token."""
    states: list[Tensor] = field(default_factory=list)
    """(C,) for each position of the open route that was fed and whose state is wanted."""
    open: Binding | None = None
    """Of the route that is being fed."""
    num_fed: int = 0
    """Ids of the open route that were fed."""
    num_routes: int = 0

    def lacks(self, positions: int) -> bool:
        """Whether the context has room for so many positions at most."""
        return self.room is not None and self.room <= positions


class Rows:
    """All rows of a batch.

    Args:
        backbone: Tells the length of the context.
        inputs: The left-padded prompts.
        start: What the backbone made of them.
        vocabulary: The control tokens of the model.
        forbidden: For each row the routing tokens that it must not write.
    """

    def __init__(
        self,
        backbone: Backbone,
        inputs: Mapping[str, Tensor],
        start: Prefill,
        vocabulary: RoutingVocabulary,
        forbidden: Sequence[frozenset[str]] | None = None,
    ) -> None:
        prompt = inputs["input_ids"] if start.ids is None else start.ids
        self._vocabulary = vocabulary
        self._eos = backbone.eos_ids() if start.eos_ids is None else start.eos_ids
        self._slots = {vocabulary.ids[s] for bank in vocabulary.slots.values() for s in bank}
        self._slots |= {vocabulary.ids[token] for token in vocabulary.region_token}
        # Marks of phrases are of no use without a route behind them.
        self._routing = {vocabulary.ids[token] for token in vocabulary.controls}
        self._mask: Tensor | None = None
        self.ids = _without_slots(prompt, self._slots)  # (B, T), and T grows
        never = [frozenset[str]()] * len(prompt) if forbidden is None else forbidden
        context = backbone.context_length
        used = backbone.used_positions(inputs).tolist()
        self._rows = [
            _Row({*self._slots, *map(vocabulary.ids.__getitem__, tokens)}, context and context - n)
            for tokens, n in zip(never, used, strict=True)
        ]

    def limit(self, max_new_tokens: int, max_routes: int | None) -> None:
        """Set the limits before the first token."""
        self._max_new_tokens, self._max_routes = max_new_tokens, max_routes
        for row in self._rows:
            row.running = max_new_tokens > 0 and not row.lacks(0)
            if max_routes == 0 or row.lacks(self._vocabulary.widest):
                row.blocked |= self._routing

    def waiting(self) -> list[int]:
        """The rows that pick their next token now."""
        return [index for index, row in enumerate(self._rows) if row.running and not row.pending]

    def written(self, indices: Iterable[int]) -> dict[int, GeneratedRow]:
        """What these rows have by now."""
        return {index: self._rows[index].written for index in indices}

    def allowed(self, logits: Tensor) -> Tensor:
        """The logits (B, V), with -inf for what a row must not write."""
        if self._mask is None:
            self._mask = torch.zeros_like(logits, dtype=torch.bool)
            for index, row in enumerate(self._rows):
                self._mask[index, [i for i in row.blocked if i < logits.shape[-1]]] = True
        return logits.masked_fill(self._mask, -torch.inf)

    def write(self, chosen: Sequence[int], picked: Tensor) -> None:
        """Add what the `chosen` rows picked, of (B,), to their texts and to what they are fed."""
        if len(chosen) == len(picked):
            self.ids = torch.cat([self.ids, picked[:, None]], dim=1)
        else:  # a row that waits for its slots moves on by one column, so that its text ends last
            asked = torch.zeros(len(picked), 1, dtype=torch.bool, device=picked.device)
            asked[list(chosen)] = True
            moved = torch.cat([self.ids[:, :1], self.ids], dim=1)
            self.ids = torch.where(asked, torch.cat([self.ids, picked[:, None]], dim=1), moved)
        tokens = picked.tolist()
        for index in chosen:
            self._write(self._rows[index], tokens[index])

    def _write(self, row: _Row, token: int) -> None:
        if token in self._eos:
            row.written.complete, row.running = True, False
            return
        row.written.ids.append(token)
        row.pending = [token]
        if binding := self._vocabulary.binding_of(token):
            row.pending += self._vocabulary.slot_ids(binding)
            row.num_routes += 1
        if row.room is not None:
            row.room -= len(row.pending)
        full = row.lacks(self._vocabulary.widest)
        if (full or row.num_routes == self._max_routes) and not self._routing <= row.blocked:
            row.blocked |= self._routing
            self._mask = None

    def end(self, chosen: Sequence[int], stops: Tensor) -> None:
        """End rows at a criterion, (B,) of bool, or at a limit.

        A routing token that came last is still fed with its slots; a text token has nothing to
        tell any more.
        """
        stopped = stops.tolist()
        for index in chosen:
            row = self._rows[index]
            long = len(row.written.ids) >= self._max_new_tokens
            if row.running and (stopped[index] or long or row.lacks(0)):
                row.running, row.written.complete = False, bool(stopped[index])
                if row.pending and self._vocabulary.binding_of(row.pending[0]) is None:
                    row.pending = []

    def lengths(self) -> set[int]:
        """How many ids wait, over all rows where any do."""
        return {len(row.pending) for row in self._rows} - {0}

    def take(self, width: int) -> dict[int, list[int]]:
        """The next ids of each row that has some, `width` at most."""
        fed = {}
        for index, row in enumerate(self._rows):
            if row.pending:
                fed[index], row.pending = row.pending[:width], row.pending[width:]
        return fed

    def columns(self, fed: Mapping[int, Sequence[int]]) -> dict[str, Tensor]:
        """The next columns (B, W): what each row is fed, and holes where it is fed less."""
        width = max(map(len, fed.values()))
        block = torch.zeros(len(self._rows), width, dtype=torch.long)
        keep = torch.zeros_like(block)
        for index, ids in fed.items():
            block[index, : len(ids)] = torch.tensor(ids)
            keep[index, : len(ids)] = 1
        device = self.ids.device
        return {"input_ids": block.to(device), "attention_mask": keep.to(device)}

    def keep_states(self, fed: Mapping[int, Sequence[int]], hidden: Tensor) -> list[int]:
        """Keep the states of routes out of (B, W, C); the rows whose route has all of them."""
        routed = []
        for index, ids in fed.items():
            row = self._rows[index]
            if binding := self._vocabulary.binding_of(ids[0]):
                row.open, row.num_fed = binding, 0
            if row.open is None:
                continue
            wanted = row.open.states_at(-row.num_fed)
            row.states += [hidden[index, column] for column in range(len(ids)) if column in wanted]
            row.num_fed += len(ids)
            if not row.pending:
                states = torch.stack(row.states) if row.states else hidden[index, :0]
                row.written.states.append(states)  # (Q, C)
                row.states, row.open = [], None
                routed.append(index)
        return routed


def _without_slots(ids: Tensor, slots: Iterable[int]) -> Tensor:
    """A prompt (B, T) in which each slot of an earlier turn repeats the token before it: samplers
    count words, and have no logit for a slot."""
    column = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
    is_slot = torch.isin(ids, torch.tensor([*slots], device=ids.device))
    return ids.gather(1, column.masked_fill(is_slot, 0).cummax(1).values)
