"""A metric over several runs, and what is claimed of it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["JudgedClaim", "Spread"]


@dataclass(frozen=True)
class Spread:
    """One metric over runs that differ in their seeds alone."""

    mean: float
    """The mean over the runs."""
    std: float | None
    """The sample standard deviation, with n - 1; None of a single run."""
    values: tuple[float, ...]
    """One for each run."""

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of at least one value."""
        std = statistics.stdev(values) if len(values) > 1 else None
        return cls(statistics.fmean(values), std, tuple(values))

    @property
    def num_runs(self) -> int:
        """How many runs there are."""
        return len(self.values)

    def __str__(self) -> str:
        """As a table shows it."""
        std = "" if self.std is None else f" ± {self.std:.3f}"
        return f"{self.mean:.3f}{std} (n = {self.num_runs})"


@dataclass(frozen=True)
class JudgedClaim:
    """A claim, and what the runs say to it."""

    text: str
    """The claim in words."""
    source: str
    """Who says so."""
    metric: str | None
    """What it was tested on."""
    order: str | None
    """The order of the variants that it says."""
    verdict: str
    """`agrees`, `disagrees`, `not told apart`, `not measured` or `not tested`."""
    reasons: tuple[str, ...] = ()
    """Each difference, and what it takes to tell it apart."""

    def sentence(self) -> str:
        """The claim and its verdict in a line, for a terminal."""
        who = f" ({self.source})" if self.source else ""
        tested = f" {self.order} on {self.metric}" if self.order else ""
        reasons = f": {'; '.join(self.reasons)}" if self.reasons else ""
        return f"{self.text}{who}{tested}: {self.verdict}{reasons}"
