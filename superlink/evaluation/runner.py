"""Let a model answer a set of samples, and measure the replies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, Protocol

from rich.console import Console
from rich.progress import track

from ..errors import ConfigError, InputError
from ..interfaces import Reply, Sample
from .evaluator import Evaluator

__all__ = ["Answering", "evaluate"]


class Answering(Protocol):
    """What is evaluated: a `SuperLinkModel`, or anything that answers like one."""

    def answer(
        self,
        samples: Sequence[Sample],
        routing: Literal["generated", "forced"] = "generated",
        *,
        max_new_tokens: int = 128,
    ) -> list[Reply]:
        """One reply for each sample."""


def evaluate(
    model: Answering,
    samples: Sequence[Sample],
    evaluator: Evaluator,
    routing: Literal["generated", "forced"],
    *,
    batch_size: int = 16,
    max_new_tokens: int = 256,
    progress: bool = True,
) -> dict[str, float]:
    """Measure a model.

    Args:
        model: What answers.
        samples: With targets; each ends with the answer template.
        evaluator: What measures; it may have seen other samples before.
        routing: `generated` hides the answer template, and the LLM writes its own; `forced` gives
            it, so that the decoders are measured alone.
        batch_size: Samples answered together.
        max_new_tokens: Tokens that the LLM may write in an answer.
        progress: Whether to show a bar.

    Raises:
        ConfigError: `batch_size` is less than 1.
        InputError: A sample has no answer to hide.
    """
    if batch_size < 1:
        raise ConfigError(f"batch_size must be at least 1. Received: {batch_size}")
    starts = range(0, len(samples), batch_size)
    steps: Iterable[int] = starts
    if progress:
        console = Console(stderr=True)
        steps = track(starts, f"evaluating, {routing} routing", console=console)
    for start in steps:
        batch = [samples[i] for i in range(start, min(start + batch_size, len(samples)))]
        asked = batch if routing == "forced" else [_question(sample) for sample in batch]
        replies = model.answer(asked, routing, max_new_tokens=max_new_tokens)
        for sample, reply in zip(batch, replies, strict=True):
            evaluator.update(sample, reply)
    return evaluator.compute()


def _question(sample: Sample) -> Sample:
    """The sample up to its last answer, without the targets."""
    answers = [i for i, message in enumerate(sample.messages) if message.role == "assistant"]
    if not answers:
        raise InputError(
            "A sample to measure ends with the answer that is expected. Received: roles="
            f"{[message.role for message in sample.messages]}, key={sample.key!r}"
        )
    kept = sample.messages[: answers[-1]]
    images = sum(message.num_images for message in kept)
    return Sample(kept, sample.images[:images], sample.geometries[:images], key=sample.key)
