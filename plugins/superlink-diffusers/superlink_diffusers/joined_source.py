"""A transformer that edits, in the place of one that makes pictures of words."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.configuration_utils import FrozenDict
from torch import Tensor, nn

from .family import Family
from .flux import packed

__all__ = ["JoinedSource"]


class JoinedSource(nn.Module):
    """Gives a transformer the source's latents as further channels, so that a pipeline which knows
    of none runs it.

    Args:
        model: The transformer.
        family: Its kind.
        latents: (R, C, h, w) of sources.
    """

    def __init__(self, model: nn.Module, family: Family, latents: Tensor) -> None:
        super().__init__()
        self.model = model
        settings: Any = model.config
        narrow = {**settings, "in_channels": settings.in_channels // 2}
        self.config = FrozenDict(narrow)  # type: ignore[no-untyped-call]
        self.source = packed(latents) if family.packing == 2 else latents

    @property
    def dtype(self) -> torch.dtype:
        """That of the transformer."""
        return self.source.dtype

    @property
    def device(self) -> torch.device:
        """That of the transformer."""
        return self.source.device

    def cache_context(self, name: str) -> Any:
        """That of the transformer."""
        return self.model.cache_context(name)  # type: ignore[operator]

    def forward(self, hidden_states: Tensor, *arguments: Any, **named: Any) -> Any:
        """Run it; with guidance each source comes as often as its picture."""
        times = len(hidden_states) // len(self.source)
        channels = 1 if hidden_states.dim() == 4 else 2
        joined = torch.cat([hidden_states, torch.cat([self.source] * times)], channels)
        return self.model(joined, *arguments, **named)
