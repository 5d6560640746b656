"""The connector of VisionLLM v2 for pictures: states of the slots -> a condition of any length."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Mapper"]


class Mapper(nn.Module):
    """An MLP on each state, then a small transformer whose learned queries read them.

    As in VisionLLM v2 (arXiv 2406.08394, appendix) an encoder reads the states and a decoder writes
    the condition. The first norm keeps it independent of the scale of the LLM.

    Args:
        hidden_size: Width of the LLM.
        cond_size: Width C of the condition.
        length: Places L of the condition.
        layers: Of the encoder, and of the decoder.
    """

    def __init__(self, hidden_size: int, cond_size: int, length: int, layers: int = 1) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.LayerNorm(hidden_size),
            nn.Linear(hidden_size, cond_size),
            nn.GELU(),
            nn.Linear(cond_size, cond_size),
        )
        heads = next(number for number in (8, 4, 2, 1) if cond_size % number == 0)
        wide = 4 * cond_size
        layer = nn.TransformerEncoderLayer(
            cond_size, heads, wide, dropout=0.0, batch_first=True, norm_first=True
        )
        # The one that nn.Transformer makes itself warns that it has no nested tensors.
        encoder = nn.TransformerEncoder(
            layer, layers, nn.LayerNorm(cond_size), enable_nested_tensor=False
        )
        self.transformer = nn.Transformer(
            cond_size,
            heads,
            num_decoder_layers=layers,
            dim_feedforward=wide,
            dropout=0.0,
            custom_encoder=encoder,
            batch_first=True,
            norm_first=True,
        )
        self.queries = nn.Parameter(torch.randn(1, length, cond_size) * 0.02)

    def forward(self, states: Tensor) -> Tensor:
        """Map states (R, Q, hidden_size) to (R, L, C)."""
        read = self.mlp(states.to(self.queries.dtype))
        condition: Tensor = self.transformer(read, self.queries.expand(len(read), -1, -1))
        return condition
