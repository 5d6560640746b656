"""The text link: a small encoder of a route's words, which stands where super-link queries are off.

Nothing of the LLM but its input embedding is read, and no gradient goes there.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

__all__ = ["PhraseReader", "TextConnector"]

WIDTH, NUM_HEADS = 256, 4


class PhraseReader(nn.Module):
    """One layer of attention over the words of a phrase, and Q learned questions to them.

    Its output has the shape of the states of Q super-link queries, so that any connector takes it.

    Args:
        hidden_size: Width of the word vectors, and of the result.
        num_queries: Vectors Q for each phrase.
    """

    def __init__(self, hidden_size: int, num_queries: int) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.LayerNorm(hidden_size), nn.Linear(hidden_size, WIDTH))
        self.start = nn.Parameter(torch.randn(1, WIDTH) * 0.02)  # what an empty phrase still has
        self.layer = nn.TransformerEncoderLayer(
            WIDTH, NUM_HEADS, 2 * WIDTH, dropout=0.0, batch_first=True, norm_first=True
        )
        self.questions = nn.Parameter(torch.randn(num_queries, WIDTH))
        self.ask = nn.MultiheadAttention(WIDTH, NUM_HEADS, batch_first=True)
        self.leave = nn.Linear(WIDTH, hidden_size)

    def forward(self, words: Sequence[Tensor]) -> Tensor:
        """Read the words (T, hidden_size) of each of R phrases: (R, Q, hidden_size)."""
        lengths = torch.tensor([1 + len(phrase) for phrase in words], device=self.start.device)
        entered = self.enter(torch.cat([*words]).to(self.start.dtype)).split([*map(len, words)])
        rows = pad_sequence([torch.cat([self.start, row]) for row in entered], batch_first=True)
        places = torch.arange(rows.shape[1], device=rows.device)
        padding = places >= lengths[:, None]  # (R, 1 + T)
        read = self.layer(rows + _waves(places).to(rows.dtype), src_key_padding_mask=padding)
        asked = self.questions.expand(len(read), -1, -1)
        told, _ = self.ask(asked, read, read, key_padding_mask=padding, need_weights=False)
        states: Tensor = self.leave(told)
        return states


class TextConnector(nn.Module):
    """A reader of phrases in front of the connector that queries would have."""

    def __init__(self, reader: PhraseReader, connector: nn.Module) -> None:
        super().__init__()
        self.reader = reader
        self.connector = connector

    def forward(self, words: Sequence[Tensor]) -> Tensor:
        """Map the words (T, hidden_size) of each of R phrases to a decoder's condition."""
        condition: Tensor = self.connector(self.reader(words))
        return condition


def _waves(places: Tensor) -> Tensor:
    """Sines and cosines (T, WIDTH) of places, as in arXiv 1706.03762."""
    steps = torch.arange(0, WIDTH, 2, device=places.device)
    angles = places[:, None] * torch.exp(steps * (-torch.log(torch.tensor(1e4)) / WIDTH))
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
