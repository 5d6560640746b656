"""The named query banks, and the rows of the control tokens: all that the link adds to the LLM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

__all__ = ["SuperLinkQueries", "module_key"]


def module_key(name: str) -> str:
    """`name` as a key of a module: torch reserves the dot."""
    return name.replace(".", "-")


class SuperLinkQueries(nn.Module):
    """Learnable vectors outside of the vocabulary.

    Args:
        num_controls: Number of control tokens (phrase marks and routing tokens).
        banks: Name to number of queries, in the order of the vocabulary's slots; a bank of 0
            has no parameter.
        hidden_size: Width C of the LLM.
        tied: Whether a control token has one row for input and output.
        init_std: Spread of the first values; LLM embeddings are near 0.02.
    """

    def __init__(
        self,
        num_controls: int,
        banks: Mapping[str, int],
        hidden_size: int,
        *,
        tied: bool,
        init_std: float = 0.02,
    ) -> None:
        super().__init__()
        self.tokens = nn.Parameter(torch.randn(num_controls, hidden_size) * init_std)  # (c, C)
        self.token_outputs = None if tied else nn.Parameter(self.tokens.detach().clone())
        # As pairs: a ParameterDict sorts the keys of a dict, and the order is that of the slots.
        self.banks = nn.ParameterDict(
            [
                (module_key(name), nn.Parameter(torch.randn(size, hidden_size) * init_std))
                for name, size in banks.items()
                if size
            ]
        )

    def start_from(
        self, inputs: Tensor, outputs: Tensor, words: Mapping[int, Sequence[int]] | None = None
    ) -> None:
        """Set the rows of control tokens near the mean of the backbone's rows, (V, C) each.

        Args:
            inputs: The table of the input embedding.
            outputs: The weight of the output head.
            words: For some control tokens the ids of words that describe them; such a row starts
                near the mean of theirs.
        """
        tables = [(self.tokens, inputs), (self.token_outputs, outputs)]
        with torch.no_grad():
            for rows, table in tables:
                if rows is not None:
                    means = _mean_row(table).repeat(len(rows), 1)  # (c, C)
                    for index, ids in (words or {}).items():
                        means[index] = _mean_row(table[torch.tensor(ids, device=table.device)])
                    rows.copy_(means + 0.1 * rows)

    def input_rows(self) -> Tensor:
        """(c + slots, C): control tokens, then the queries of each bank."""
        return torch.cat([self.tokens, *self.banks.values()])

    def output_rows(self) -> Tensor:
        """(c, C): what a last hidden state is multiplied with to score a control token."""
        return self.tokens if self.token_outputs is None else self.token_outputs


def _mean_row(rows: Tensor) -> Tensor:
    return rows.mean(0, dtype=torch.float32)
