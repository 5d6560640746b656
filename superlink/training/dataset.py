"""The samples of a stage as a pure function of (seed, index)."""

from __future__ import annotations

import functools
import inspect
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch.utils.data import Dataset

from ..errors import ConfigError, InputError, SuperLinkError
from ..interfaces import Sample, TaskSpec
from ..registry import Registry, load_object
from ..registry.suggestions import suggest
from .faults import FAULTS_OF_DATA, BadSample, Origin, StageSample, explained
from .recipe import DataChoice

__all__ = ["Conversation", "Source", "StageDataset", "from_worker", "load_reader", "open_data"]

Conversation = Callable[..., Sample]
Source = tuple[Sequence[Any], Conversation]
"""The records of a data set, and what makes conversations of them."""


class StageDataset(Dataset[Sample | BadSample]):
    """As many samples as a stage takes, in the order in which it takes them.

    Each pass over the records has an order and conversations of its own. Nothing is remembered, so
    that a stage that goes on after an interruption sees what it would have seen.

    Args:
        records: Annotated data.
        conversation: Makes a sample of a record; see `TaskSpec.conversation`.
        num_samples: How many samples the stage takes.
        seed: Of order and draws.
        name: Of the data set, for errors and counts.
        skip_bad: Whether a record that its files or annotations are to blame for becomes a
            `BadSample`; an error otherwise.
    """

    def __init__(
        self,
        records: Sequence[Any],
        conversation: Conversation,
        num_samples: int,
        seed: int,
        *,
        name: str = "",
        skip_bad: bool = False,
    ) -> None:
        if not len(records):
            which = f" of the data set {name!r}" if name else ""
            raise InputError(f"A stage needs data. Received: a reader{which} that found no records")
        self.records = records
        self.conversation = conversation
        self.num_samples = num_samples
        self.seed = seed
        self.name = name
        self.skip_bad = skip_bad
        self._orders: dict[int, list[int]] = {}  # of the last epochs asked for

    def __len__(self) -> int:
        return self.num_samples

    def __getitem__(self, index: int) -> Sample | BadSample:
        if not 0 <= index < self.num_samples:
            raise IndexError(index)
        epoch, position = divmod(index, len(self.records))
        number, record = self._order(epoch)[position], None
        try:
            record = self.records[number]
            sample = self.conversation(record, random.Random(f"{self.seed}-{index}"), True)
        except Exception as error:
            origin = Origin.of(number, self.name, record)
            named = explained(error, origin)
            if self.skip_bad and isinstance(error, FAULTS_OF_DATA):
                return BadSample(str(named))
            raise named from error
        # Decoders draw from the key: anew each time that a record comes, the same in every layout.
        key = f"{sample.key}#{self.seed}-{index}"
        return StageSample.of(sample, key, Origin.of(number, self.name, record))

    def epochs(self, num_samples: int) -> dict[str, float]:
        """Passes over the records that the first `num_samples` samples are, by the data set."""
        return {self.name: num_samples / len(self.records)}

    def __getstate__(self) -> dict[str, Any]:
        # Orders are made again in a worker process rather than sent to it.
        return {**self.__dict__, "_orders": {}}

    def _order(self, epoch: int) -> list[int]:
        if epoch not in self._orders:
            order = list(range(len(self.records)))
            random.Random(f"{self.seed}-order-{epoch}").shuffle(order)
            # Two, as the batches of workers reach over the end of an epoch.
            self._orders = {**dict(list(self._orders.items())[-1:]), epoch: order}
        return self._orders[epoch]


def open_data(choice: DataChoice, registry: Registry) -> Source:
    """Read the records of a data set, and take the conversation factory of its task."""
    spec = registry.task(choice.task)
    reader = load_reader(choice, registry)
    conversation = registry.load("task", choice.task, spec.conversation)
    _check_options(reader, (), choice.options, f"The reader {choice.format!r} of {choice.task!r}")
    _check_options(
        conversation, (None,) * 3, choice.conversation, f"The conversation of {choice.task!r}"
    )
    try:
        records = reader(**choice.options)
    except (TypeError, ValueError, OSError) as error:
        if isinstance(error, SuperLinkError):
            raise
        raise ConfigError(
            f"The reader {choice.format!r} of {choice.task!r} cannot read with these options: "
            f"{type(error).__name__}: {error}. Received: {choice.options}"
        ) from error
    return records, functools.partial(conversation, **choice.conversation)


def from_worker(error: SuperLinkError) -> SuperLinkError:
    """An error as it was raised: torch puts the traceback of a worker process before its words."""
    kind = type(error)
    _, found, message = str(error).rpartition(f"{kind.__module__}.{kind.__qualname__}: ")
    return kind(message.strip()) if found else error


def load_reader(choice: DataChoice, registry: Registry) -> Callable[..., Sequence[Any]]:
    """Import the reader of a data set."""
    path = _reader_path(choice, registry.task(choice.task))
    reader: Callable[..., Sequence[Any]] = load_object(path, f"task {choice.task!r}")
    return reader


def _check_options(
    function: Callable[..., Any], given: Sequence[Any], options: Mapping[str, Any], what: str
) -> None:
    """Raise where `function` cannot be called with `options` beside the arguments it is given."""
    signature = inspect.signature(function)
    try:
        signature.bind(*given, **options)
    except TypeError as error:
        names = list(signature.parameters)[len(given) :]
        wrong = next((name for name in options if name not in names), "")
        raise ConfigError(
            f"{what} cannot take these options: {error}. Received: {options}. "
            f"{suggest(wrong, names)}"
        ) from error


def _reader_path(choice: DataChoice, spec: TaskSpec) -> str:
    if ":" in choice.format:
        return choice.format
    if choice.format not in spec.readers:
        raise ConfigError(
            f"Task {spec.name!r} reads {sorted(spec.readers)}, or package.module:callable. "
            f"Received: format={choice.format!r}"
        )
    return spec.readers[choice.format]
