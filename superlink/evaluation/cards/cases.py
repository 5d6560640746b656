"""The first, the best and the worst replies of an evaluation, as pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image

from ...interfaces import InstancePrediction, Prediction, Reply, Sample
from ...tasks.chunks import Chunks
from ...visualization import draw_reply, draw_target, grid
from ..answering import Answering, Routing
from ..evaluator import Evaluator
from ..runner import Evaluation, ask, question
from .pictured import picture_rows, wants_pictures

__all__ = ["draw_cases", "extreme_cases", "first_cases"]

_MAX_WIDTH = 1600
_THRESHOLD = 0.3
"""Score from which an instance is drawn; evaluators judge single replies by the same. Where none
reaches it, the best one is drawn: metrics that take the best one, take it at any score."""


def extreme_cases(
    evaluation: Evaluation, evaluator: Evaluator, count: int
) -> dict[str, tuple[int, ...]]:
    """Indices of the `best` and the `worst` samples, at most `count` each, none twice.

    Empty where the evaluator cannot tell.
    """
    graded = [
        (value, index)
        for index, row in enumerate(evaluation.rows)
        if index not in evaluation.broken and (value := evaluator.quality(row)) is not None
    ]
    order = [index for _, index in sorted(graded, key=lambda pair: (-pair[0], pair[1]))]
    best = order[: min(count, (len(order) + 1) // 2)]
    worst = [index for index in reversed(order) if index not in best][:count]
    return {name: tuple(found) for name, found in (("best", best), ("worst", worst)) if found}


def first_cases(evaluation: Evaluation, evaluator: Evaluator) -> dict[str, tuple[int, ...]]:
    """Indices of the `first` samples, as many as the evaluator shows: nobody chose them."""
    whole = [index for index in range(len(evaluation.rows)) if index not in evaluation.broken]
    chosen = tuple(whole[: evaluator.num_first])
    return {"first": chosen} if chosen else {}


def draw_cases(
    model: Answering,
    samples: Sequence[Sample],
    cases: Mapping[str, Sequence[int]],
    routing: Routing,
    folder: Path,
    *,
    max_new_tokens: int = 256,
    chunks: Chunks | None = None,
) -> dict[str, str]:
    """Answer the cases again, and draw what was expected beside each reply.

    Returns:
        Title to file name in `folder`.
    """
    pictures: dict[str, str] = {}
    for name, indices in cases.items():
        chosen = [samples[index] for index in indices]
        replies = ask(model, chosen, routing, max_new_tokens=max_new_tokens, chunks=chunks)
        pairs = [*zip(chosen, replies, strict=True)]
        drawn = [row for sample, reply in pairs for row in picture_rows(sample, reply)]
        drawn += [_pair(s, r) for s, r in pairs if s.images and not wants_pictures(s)]
        if drawn:
            file = f"{name}-{routing}.jpg"
            sheet = grid([picture for row in drawn for picture in row], columns=2 * len(drawn[0]))
            sheet.thumbnail((_MAX_WIDTH, sheet.height))
            sheet.save(folder / file, quality=85)
            title = f"{name} replies, {routing} routing: expected left, replied right"
            pictures[title if len(drawn[0]) == 2 else f"{title}, source before them"] = file
    return pictures


def _pair(sample: Sample, reply: Reply) -> tuple[Image.Image, Image.Image]:
    """What was asked and expected, and what came back, on the last image."""
    image = sample.images[-1]
    asked = f"{sample.key}: {question(sample).messages[-1].text_with('')}"
    expected = f"expected: {sample.messages[-1].text}"
    shown = replace(
        reply,
        text=reply.text.strip() or "(no text)",
        predictions=tuple(map(_strongest, reply.predictions)),
    )
    marked = [region for region in sample.regions if region.image == len(sample.images) - 1]
    replied = draw_reply(image, shown, 0.0, regions=marked)
    return draw_target(image, sample.targets, asked, expected), replied


def _strongest(prediction: Prediction) -> Prediction:
    """A prediction without its weak instances, but with the best one."""
    if not isinstance(prediction, InstancePrediction) or not len(prediction.scores):
        return prediction
    best = float(prediction.scores.max())
    return prediction.above(min(best, _THRESHOLD))
