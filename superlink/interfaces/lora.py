"""What a user chooses of LoRA."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ConfigError

__all__ = ["LoraChoice"]


@dataclass(frozen=True)
class LoraChoice:
    """Low-rank updates of the language model (Hu et al., arXiv 2106.09685)."""

    rank: int = 16
    """Rank of the update of each layer."""
    alpha: float = 32.0
    """The update is scaled by `alpha / rank`."""
    dropout: float = 0.0
    """Dropout in front of the update, in training."""
    targets: tuple[str, ...] = ()
    """Last names of the linear layers that get one, as `("q_proj", "v_proj")`; empty: all."""

    def __post_init__(self) -> None:
        if self.rank < 1 or self.alpha <= 0 or not 0 <= self.dropout < 1:
            raise ConfigError(
                "LoRA needs rank >= 1, alpha > 0 and 0 <= dropout < 1. Received: "
                f"rank={self.rank}, alpha={self.alpha}, dropout={self.dropout}"
            )
