"""The connector: last hidden states of the slots -> condition of a task decoder."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from ..errors import ConfigError

__all__ = ["Connector", "Pooling"]

Pooling = Literal["mean", "attention", "none"]


class Connector(nn.Module):
    """LayerNorm, MLP, LayerNorm on each query; then the queries of a route are joined.

    The MLP with a mean follows VisionLLM v2 (arXiv 2406.08394, section 3.2); the norms keep the
    scale of the condition independent of the LLM's.

    Args:
        hidden_size: Width of the LLM.
        cond_size: Width C of the condition.
        pooling: `mean`, `attention` (a learned score weighs the queries), or `none`.
    """

    def __init__(self, hidden_size: int, cond_size: int, pooling: Pooling = "mean") -> None:
        super().__init__()
        if pooling not in ("mean", "attention", "none"):
            raise ConfigError(
                f"pooling must be 'mean', 'attention' or 'none'. Received: pooling={pooling!r}"
            )
        self.norm = nn.LayerNorm(hidden_size)
        self.mlp = nn.Sequential(
            nn.Linear(hidden_size, cond_size),
            nn.GELU(),
            nn.Linear(cond_size, cond_size),
            nn.LayerNorm(cond_size),
        )
        self.pooling = pooling
        self.score = nn.Linear(cond_size, 1) if pooling == "attention" else None

    def forward(self, states: Tensor) -> Tensor:
        """Map states (R, Q, hidden_size) to (R, C), or to (R, Q, C) without pooling."""
        cond: Tensor = self.mlp(self.norm(states.to(self.norm.weight.dtype)))  # (R, Q, C)
        if self.pooling == "none":
            return cond
        if self.score is None:
            return cond.mean(1)
        weights: Tensor = self.score(cond).softmax(1)  # (R, Q, 1)
        return (weights * cond).sum(1)
