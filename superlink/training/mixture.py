"""Several data sets in one stage, drawn by their weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from torch.utils.data import Dataset

from ..errors import ConfigError
from ..interfaces import Sample
from .dataset import Source, StageDataset
from .faults import BadSample
from .recipe import Stage

__all__ = ["Mixture", "stage_samples"]


class Mixture(Dataset[Sample | BadSample]):
    """As many samples as a stage takes, each from one of several data sets.

    Which one is a draw of the seed alone, and each set goes through its own records as it does
    when it is alone: nothing is remembered, and a longer stage begins as a shorter one does.

    Args:
        sources: The data sets by name, in any order that stays the same.
        weights: How often each is drawn, relative to the others.
        num_samples: How many samples the stage takes.
        seed: Of draws, orders and conversations.
        block_size: So many samples in a row are drawn at once, and come from one data set.
        skip_bad: See `StageDataset`.

    Raises:
        ConfigError: A weight is not positive, or there is not one for each set.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        weights: Sequence[float],
        num_samples: int,
        seed: int,
        *,
        block_size: int = 1,
        skip_bad: bool = False,
    ) -> None:
        if len(sources) != len(weights) or not sources or min(weights) <= 0:
            raise ConfigError(
                "A mixture needs a positive weight for each of its data sets. "
                f"Received: {len(sources)} sets, weights={list(weights)}"
            )
        blocks = _drawn(weights, -(-num_samples // block_size), seed)
        self._source = np.repeat(blocks, block_size)[:num_samples]
        self._position = np.zeros(num_samples, np.int64)
        self._parts: list[StageDataset] = []
        for index, (name, source) in enumerate(sources.items()):
            mine = self._source == index
            self._position[mine] = np.arange(mine.sum())
            part_seed = seed * len(sources) + index
            part = StageDataset(*source, int(mine.sum()), part_seed, name=name, skip_bad=skip_bad)
            self._parts.append(part)

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Sample | BadSample:
        if not 0 <= index < len(self):
            raise IndexError(index)
        part = self._parts[int(self._source[index])]
        return part[int(self._position[index])]

    def epochs(self, num_samples: int) -> dict[str, float]:
        """Passes over each data set that the first `num_samples` samples are, by its name."""
        counts = np.bincount(self._source[:num_samples], minlength=len(self._parts)).tolist()
        pairs = zip(self._parts, counts, strict=True)
        return {name: passes for part, n in pairs for name, passes in part.epochs(n).items()}


def stage_samples(
    sources: Mapping[str, Source], stage: Stage, seed: int, *, skip_bad: bool
) -> StageDataset | Mixture:
    """The samples of all steps of a stage.

    Args:
        sources: Opened data sets by name, those of the stage among them.
        stage: Which of them, and how they are mixed.
        seed: Of the stage.
        skip_bad: See `StageDataset`.
    """
    chosen = {name: sources[name] for name in stage.names}
    num_samples = stage.steps * stage.batch_size
    if len(chosen) == 1:
        [(name, source)] = chosen.items()
        return StageDataset(*source, num_samples, seed, name=name, skip_bad=skip_bad)
    given = stage.data if isinstance(stage.data, dict) else {}
    weights = [given.get(name, len(records) or 1) for name, (records, _) in chosen.items()]
    if stage.temperature != 1:
        weights = [(weight / max(weights)) ** (1 / stage.temperature) for weight in weights]
    size = stage.block_size
    return Mixture(chosen, weights, num_samples, seed, block_size=size, skip_bad=skip_bad)


def _drawn(
    weights: Sequence[float], number: int, seed: int
) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    """`number` indices of weights, each drawn as often as its weight says."""
    shares = np.asarray(weights, np.float64)
    draws = np.random.default_rng(seed).random(number)
    borders = np.cumsum(shares / shares.sum())[:-1]
    return np.searchsorted(borders, draws, side="right").astype(np.int32)
