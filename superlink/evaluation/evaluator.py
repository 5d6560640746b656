"""The contract of an evaluator: a row of plain numbers for each reply, then metrics over all rows.

Rows are what processes hand to each other and what an interrupted evaluation goes on from.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ..interfaces import Reply, Sample

__all__ = ["Evaluator", "Row"]

Row = Mapping[str, Any]
"""What one reply adds to the metrics, in JSON types: text, numbers, lists and mappings of text."""


class Evaluator(ABC):
    """Measures the replies of a model to the samples of a task. It keeps no state."""

    num_first: ClassVar[int] = 0
    """How many of the first replies cards show, beside the best and the worst."""

    def check(self) -> None:  # noqa: B027 - most need nothing
        """Raise where something that measuring needs is missing; asked before a model answers.

        Raises:
            MissingDependencyError: A package is not installed.
        """

    def knowing(self, model: Any) -> Evaluator:
        """The evaluator for the replies of a model, where what its decoders can do is measured as
        well; most measure all models alike."""
        return self

    def candidates(self, sample: Sample) -> Sequence[str]:
        """Answers that a model shall choose from where it does not write: with forced routing, how
        likely it would write each stands in the row as `likelihoods`, by the answer."""
        return ()

    @abstractmethod
    def measure(self, sample: Sample, reply: Reply) -> Row:
        """Compare one reply with the targets of its sample.

        Raises:
            InputError: The sample lacks a target, or one of its keys.
        """

    @abstractmethod
    def summarize(self, rows: Sequence[Row]) -> dict[str, float]:
        """The metrics over the rows of all samples, by name.

        Raises:
            InputError: There is nothing to measure.
        """

    def quality(self, row: Row) -> float | None:
        """How good one reply is, more being better: cards show the best and the worst. None: it
        says nothing."""
        return None

    def remarks(self, rows: Sequence[Row]) -> tuple[str, ...]:
        """What a reader of the metrics must know beside them, for instance words that no class
        has."""
        return ()
