"""What the losses of a step sum to over all its forwards and processes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from torch import Tensor

from ..interfaces import LossTerm
from .processes import everywhere

__all__ = ["IDLE", "LossLog", "summed"]

IDLE = "/idle"
"""How names of losses end that teach nothing, and only keep processes in step."""


def summed(counts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The counts of several forwards together, by loss."""
    total: Counter[str] = Counter()
    for some in counts:
        total.update(some)
    return dict(total)


class LossLog:
    """Keeps the parts of the loss until they are logged."""

    def __init__(self) -> None:
        self._totals: dict[str, list[Tensor]] = defaultdict(list)
        self._steps: dict[str, set[int]] = defaultdict(set)

    def add(self, step: int, losses: Mapping[str, LossTerm], counts: Mapping[str, float]) -> None:
        """Take the losses of a forward.

        Args:
            step: The step that it belongs to.
            losses: What this process found.
            counts: Those of the whole step, over all forwards and processes.
        """
        for name, count in counts.items():
            if count > 0 and not name.endswith(IDLE):
                self._steps[name].add(step)
        for name, (value, _) in losses.items():
            if not name.endswith(IDLE):
                self._totals[name].append(value.detach() / max(counts[name], 1.0))

    def read(self) -> dict[str, float]:
        """The mean of each loss over the steps that had it, since the last time."""
        mine = {name: float(sum(values)) for name, values in self._totals.items()}
        totals = summed(everywhere(mine))
        means = {name: totals.get(name, 0.0) / len(steps) for name, steps in self._steps.items()}
        self._totals.clear()
        self._steps.clear()
        return means
