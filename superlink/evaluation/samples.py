"""The samples of a task, made when they are asked for, and read ahead by worker processes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from torch.utils.data import DataLoader, Dataset

from ..errors import ConfigError, InputError
from ..interfaces import Sample

__all__ = ["ReadSample", "TaskSamples", "read_batches"]

ReadSample = Sample | str
"""A sample, or why it cannot be made."""


class TaskSamples(Sequence[Sample]):
    """Records as the samples that a model is measured on: the same ones each time.

    Args:
        records: Annotated data.
        conversation: Makes a sample of a record; see `TaskSpec.conversation`.
        limit: How many of the records to take, from the first on; None takes all.
        seed: Of what the conversations draw, for instance which absent classes are asked for.
        shuffled: Whether each sample has the messages of another one, beside its own images and
            targets: what is right then, is right without the messages.

    Raises:
        InputError: There are no records, or just one that shall be shuffled.
    """

    def __init__(
        self,
        records: Sequence[Any],
        conversation: Callable[[Any, random.Random, bool], Sample],
        limit: int | None = None,
        seed: int = 0,
        *,
        shuffled: bool = False,
    ) -> None:
        self.records = records
        self.conversation = conversation
        self.seed = seed
        self.num_samples = len(records) if limit is None else min(limit, len(records))
        if not self.num_samples:
            raise InputError("There is nothing to measure. Received: a reader without records")
        if shuffled and self.num_samples < 2:
            raise InputError("Messages are exchanged between samples. Received: one sample alone")
        self.shuffled = shuffled
        rng = random.Random(f"shuffled evaluation-{seed}")
        self._distance = rng.randrange(1, self.num_samples) if shuffled else 0

    def __len__(self) -> int:
        return self.num_samples

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        index %= len(self)
        sample = self._sample(index)
        if not self._distance:
            return sample
        if not all(target and "images" in target for target in sample.targets):
            raise InputError(
                "Messages are exchanged between samples that are answered with pictures. "
                f"Received: other targets in sample {sample.key!r}"
            )
        other = self._sample((index + self._distance) % len(self))
        return replace(sample, messages=other.messages)

    def _sample(self, index: int) -> Sample:
        rng = random.Random(f"evaluation-{self.seed}-{index}")
        return self.conversation(self.records[index], rng, False)


class _Batches(Dataset[list[ReadSample]]):
    """Batches of samples by their number."""

    def __init__(self, samples: Sequence[Sample], batch_size: int) -> None:
        self.samples = samples
        self.batch_size = batch_size

    def __getitem__(self, batch: int) -> list[ReadSample]:
        first = batch * self.batch_size
        return [
            _read(self.samples, index)
            for index in range(first, min(first + self.batch_size, len(self.samples)))
        ]


def read_batches(
    samples: Sequence[Sample], batch_size: int, batches: Sequence[int], workers: int
) -> Iterator[list[ReadSample]]:
    """The batches of the given numbers, one after the other.

    Args:
        samples: What is read.
        batch_size: Samples in a batch.
        batches: Numbers of batches; batch 0 begins with the first sample.
        workers: Processes that read ahead; with 0 reading waits for its turn.

    Raises:
        ConfigError: `workers` is negative.
    """
    if workers < 0:
        raise ConfigError(f"workers must be at least 0. Received: {workers}")
    loader = DataLoader(
        _Batches(samples, batch_size),
        batch_size=None,
        sampler=batches,
        num_workers=min(workers, len(batches)),
    )
    return iter(loader)


def _read(samples: Sequence[Sample], index: int) -> ReadSample:
    try:
        return samples[index]
    except InputError as error:
        return str(error)
