"""The link loss: the condition of a route must name the words of its phrase."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..interfaces import LinkedQueries
from ..linked import LinkedModel

__all__ = ["LinkNaming"]


class LinkNaming(nn.Module):
    """A throw-away linear head on the conditions of all decoders.

    A decoder learns slowly from a condition that means nothing yet. Training the links for a
    minute to carry the words of their phrases, on text alone, makes joint training several times
    faster.

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
        self.heads = nn.ModuleDict(
            {
                str(size): nn.Linear(size, model.backbone.vocab_size)
                for size in {bound.decoder.cond_size for bound in model.bound.values()}
            }
        )

    def forward(self, links: Mapping[str, LinkedQueries]) -> Tensor:
        """The mean over routes of the cross entropy of the words of their phrases."""
        losses = []
        for linked in links.values():
            states = linked.states if linked.states.dim() == 2 else linked.states.mean(1)  # (R, C)
            logits = self.heads[str(states.shape[-1])](states).log_softmax(-1)  # (R, V)
            for row, phrase in zip(logits, linked.phrases, strict=True):
                if ids := self._word_ids(phrase):
                    losses.append(-row[torch.tensor(ids, device=row.device)].mean())
        if not losses:
            return next(self.parameters()).new_zeros(())
        return torch.stack(losses).mean()
