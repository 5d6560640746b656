"""What is evaluated: a model that answers, and that may say how likely an answer is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, runtime_checkable

from ..interfaces import Reply, Sample

__all__ = ["Answering", "Routing", "Weighing"]

Routing = Literal["generated", "forced"]
"""Whether a model writes its routes itself, or they are given."""


class Answering(Protocol):
    """What is evaluated: a `SuperLinkModel`, or anything that answers like one."""

    def answer(
        self,
        samples: Sequence[Sample],
        routing: Routing = "generated",
        *,
        max_new_tokens: int = 128,
    ) -> list[Reply]:
        """One reply for each sample."""


@runtime_checkable
class Weighing(Protocol):
    """An `Answering` model that also says how likely it would write an answer."""

    def likelihoods(
        self, sample: Sample, answers: Sequence[str], *, batch_size: int = 16
    ) -> list[float]:
        """The logarithm of the probability of each of `answers` to a conversation."""
