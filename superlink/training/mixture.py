"""Several data sets in one stage, drawn by their weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch.utils.data import Dataset

from ..errors import ConfigError
from ..interfaces import Sample
from .dataset import Conversation, StageDataset

__all__ = ["Mixture"]


class Mixture(Dataset[Sample]):
    """As many samples as a stage takes, each from one of several data sets.

    Which one is a draw of the seed alone, and each set goes through its own records as it does
    when it is alone: nothing is remembered, and a longer stage begins as a shorter one does.

    Args:
        sources: Records and conversation of each set, in any order that stays the same.
        weights: How often each is drawn, relative to the others.
        num_samples: How many samples the stage takes.
        seed: Of draws, orders and conversations.

    Raises:
        ConfigError: A weight is not positive, or there is not one for each set.
    """

    def __init__(
        self,
        sources: Sequence[tuple[Sequence[object], Conversation]],
        weights: Sequence[float],
        num_samples: int,
        seed: int,
    ) -> None:
        if len(sources) != len(weights) or not sources or min(weights) <= 0:
            raise ConfigError(
                "A mixture needs a positive weight for each of its data sets. "
                f"Received: {len(sources)} sets, weights={list(weights)}"
            )
        shares = np.asarray(weights, np.float64)
        draws = np.random.default_rng(seed).random(num_samples)
        borders = np.cumsum(shares / shares.sum())[:-1]
        self._source = np.searchsorted(borders, draws, side="right").astype(np.int32)
        self._position = np.zeros(num_samples, np.int64)
        self._parts: list[StageDataset] = []
        for index, (records, conversation) in enumerate(sources):
            mine = self._source == index
            self._position[mine] = np.arange(mine.sum())
            part_seed = seed * len(sources) + index
            self._parts.append(StageDataset(records, conversation, int(mine.sum()), part_seed))

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(index)
        part = self._parts[int(self._source[index])]
        return part[int(self._position[index])]
