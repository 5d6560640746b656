"""The columns of a batch that training looks at: those that predict a label, and those of slots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from ..interfaces import LossTerm, Route
from ..link import RoutingVocabulary
from ..link.processing import IGNORE

__all__ = ["language_loss", "moved", "needed_columns"]


def needed_columns(
    labels: Tensor, routes: Sequence[Route], vocabulary: RoutingVocabulary
) -> Tensor:
    """The columns (K,) whose logits or states are used in any row: those that predict a label, and
    those of slots. Most of a conversation about images is neither."""
    needed = torch.zeros(labels.shape[1], dtype=torch.bool, device=labels.device)
    needed[:-1] = (labels[:, 1:] != IGNORE).any(0)
    for route in routes:
        needed[[*vocabulary.bindings[route.token].states_at(route.position)]] = True
    needed[-1] |= not bool(needed.any())  # a model wants at least one
    return needed.nonzero().flatten()


def moved(routes: Sequence[Route], columns: Tensor) -> list[Route]:
    """The routes with positions among `columns`; a token and its slots stay side by side."""
    first = torch.tensor([route.position + 1 for route in routes], device=columns.device)
    places = torch.searchsorted(columns, first).tolist()
    return [replace(r, position=p - 1) for r, p in zip(routes, places, strict=True)]


def language_loss(logits: Tensor, labels: Tensor, columns: Tensor) -> LossTerm:
    """Next-token cross entropy as (sum, count), of logits (B, K, V) at `columns` (K,)."""
    following = nn.functional.pad(labels[:, 1:], (0, 1), value=IGNORE)  # the last predicts nothing
    targets = following[:, columns].flatten()
    total = nn.functional.cross_entropy(
        logits.flatten(0, 1).float(), targets, ignore_index=IGNORE, reduction="sum"
    )
    return total, (targets != IGNORE).sum()
