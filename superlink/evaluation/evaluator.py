"""The contract of an evaluator: replies go in one by one, numbers come out."""

from __future__ import annotations

from typing import Protocol

from ..interfaces import Reply, Sample

__all__ = ["Evaluator"]


class Evaluator(Protocol):
    """Measures the replies of a model to the samples of a task."""

    def update(self, sample: Sample, reply: Reply) -> None:
        """Take in one sample with its targets, and the reply to its question."""

    def compute(self) -> dict[str, float]:
        """The metrics over all replies so far, by name."""
        ...
