"""What a reader of metrics must know beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .answering import Routing
from .evaluator import Evaluator
from .runner import Evaluation
from .samples import TaskSamples

__all__ = ["notes_of"]


def notes_of(
    samples: TaskSamples,
    evaluator: Evaluator,
    found: Mapping[Routing, Evaluation],
    max_new_tokens: int,
) -> Iterator[str]:
    """One sentence after the other: of the evaluator, of answers, and of what was left out."""
    for routing, evaluation in found.items():
        remarks = evaluator.remarks(evaluation.measured)
        for remark in (*remarks, *_cut_and_failed(evaluation, max_new_tokens)):
            yield f"{routing} routing: {remark}"
    if samples.shuffled:
        yield (
            "Samples are shuffled: each is asked what another one asks, and measured against its "
            "own targets."
        )
    problems = getattr(samples.records, "problems", ())
    reasons = problems.reasons() if problems else {}
    for reason, count in reasons.items():
        yield f"{count} items of the data were left out: {reason}"
    for index, reason in next(iter(found.values())).broken.items():
        yield f"sample {index} was left out: {reason}"


def _cut_and_failed(evaluation: Evaluation, max_new_tokens: int) -> Iterator[str]:
    """What a reader must know of answers that did not come to their end."""
    number = len(evaluation.measured)
    if cut := evaluation.num_cut:
        yield (
            f"{cut} of {number} answers ran into max_new_tokens={max_new_tokens}, and count as "
            "they are"
        )
    if failed := evaluation.num_failed:
        yield f"{failed} calls could not be served"
