"""The link loss: the condition of a route must name the words of its phrase, or of the question."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from itertools import dropwhile, takewhile
from typing import Any

import torch
from torch import Tensor, nn

from ..interfaces import LinkedQueries, LossTerm
from ..link.processing import IGNORE
from ..linked import LinkedModel

__all__ = ["LinkNaming"]


class LinkNaming(nn.Module):
    """A throw-away linear head on the conditions of all decoders.

    A decoder learns slowly from a condition that means nothing yet. Training the links for a
    minute to carry the words of their phrases, on text alone, makes joint training several times
    faster. A route without a phrase, as `[GEN]`, carries the words of the question before it.

    Args:
        model: Gives the widths and the tokenizer.
    """

    def __init__(self, model: LinkedModel) -> None:
        super().__init__()
        backbone = model.backbone

        @functools.cache
        def word_ids(phrase: str) -> list[int]:
            return [i for i in backbone.tokenize(phrase) if backbone.decode([i]).strip()]

        self._word_ids = word_ids
        self._vocabulary = model.vocabulary
        special = (i for token in backbone.special_tokens() for i in backbone.tokenize(token))
        self._controls = {*model.vocabulary.ids.values()}
        self._no_words = {*special, *self._controls}
        self.heads = nn.ModuleDict(
            {
                str(size): nn.Linear(size, model.backbone.vocab_size)
                for size in {bound.decoder.cond_size for bound in model.bound.values()}
            }
        )

    def forward(
        self, links: Mapping[str, LinkedQueries], batch: Mapping[str, Any] | None = None
    ) -> LossTerm:
        """The cross entropy of the words that routes carry: its sum, and the number of routes.

        Args:
            links: By decoder, the conditions of the routes of a batch.
            batch: The batch of the processor, for routes without a phrase; they are left out where
                it is not given.
        """
        losses = [next(self.parameters()).new_zeros(())]
        for name, linked in links.items():
            states = linked.states if linked.states.dim() == 2 else linked.states.mean(1)  # (R, C)
            logits = self.heads[str(states.shape[-1])](states).log_softmax(-1)  # (R, V)
            for row, ids in zip(logits, self._words(name, linked.phrases, batch), strict=True):
                if ids:
                    losses.append(-row[torch.tensor(ids, device=row.device)].mean())
        return torch.stack(losses).sum(), float(len(losses) - 1)

    def count(self, batch: Mapping[str, Any]) -> int:
        """How many routes of a batch carry words."""
        routes, total = batch["routes"], 0
        for name in {call.decoder for call in batch["calls"]}:
            calls = self._vocabulary.calls_of(name, batch["calls"], routes)
            phrases = [routes[index].phrase for call in calls for index in call.routes]
            total += sum(map(bool, self._words(name, phrases, batch)))
        return total

    def _words(
        self, name: str, phrases: Sequence[str], batch: Mapping[str, Any] | None
    ) -> list[list[int]]:
        """For each route of a decoder the words that it carries."""
        asked = [[] for _ in phrases] if batch is None else self._asked(name, batch)
        return [self._word_ids(p) or words for p, words in zip(phrases, asked, strict=True)]

    def _asked(self, name: str, batch: Mapping[str, Any]) -> list[list[int]]:
        """For each route of a decoder, in the order of its links, the words of its question."""
        routes = batch["routes"]
        calls = self._vocabulary.calls_of(name, batch["calls"], routes)
        ids, labels = batch["inputs"]["input_ids"], batch["labels"]
        return [
            self._question(ids[route.row, : route.position], labels[route.row, : route.position])
            for call in calls
            for route in (routes[index] for index in call.routes)
        ]

    def _question(self, ids: Tensor, labels: Tensor) -> list[int]:
        """The words of the user's message before an answer that begins with some `ids` (T,)."""
        pairs = zip(ids.tolist()[::-1], (labels != IGNORE).tolist()[::-1], strict=True)
        # Slots of earlier routes of the answer are not taught, and no part of the question.
        before = dropwhile(lambda pair: pair[1] or pair[0] in self._controls, pairs)
        asked = {i for i, _ in takewhile(lambda pair: not pair[1], before)}
        return sorted(asked - self._no_words)
