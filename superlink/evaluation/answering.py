"""What is evaluated: a model that answers, and what it may tell beside its answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol, runtime_checkable

from PIL import Image

from ..interfaces import Reply, Sample
from ..linked.options import DecoderOptions

__all__ = ["Answering", "Asking", "Reconstructing", "Routing", "Weighing"]

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


@runtime_checkable
class Reconstructing(Protocol):
    """A task decoder that makes pictures of a code, and tells what the code alone loses."""

    def reconstruct(self, images: Sequence[Image.Image]) -> list[Image.Image]:
        """What is left of RGB pictures that are only encoded and decoded, as `predict` would give
        them: each in its own size."""


class Asking:
    """A model that asks its decoders for something in every answer.

    Args:
        model: What answers, a `SuperLinkModel`.
        options: See `decoder_options` of its `answer`.
    """

    def __init__(self, model: Any, options: DecoderOptions) -> None:
        self._model, self._options = model, options
        self.vocabulary, self.bound = model.vocabulary, model.bound
        self.likelihoods = model.likelihoods

    def answer(
        self,
        samples: Sequence[Sample],
        routing: Routing = "generated",
        *,
        max_new_tokens: int = 128,
    ) -> list[Reply]:
        """One reply for each sample."""
        replies: list[Reply] = self._model.answer(
            samples, routing, max_new_tokens=max_new_tokens, decoder_options=self._options
        )
        return replies
