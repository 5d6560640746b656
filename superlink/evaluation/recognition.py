"""Region recognition: is the answer the name of what is marked?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from ..interfaces import Reply, Sample
from ..registry import load_object
from .evaluator import Evaluator, Row
from .metrics.ranking import ranking_precision
from .metrics.words import SentenceEncoder, normalize_answer, semantic_similarity, word_iou
from .routing import needed_targets

__all__ = ["RecognitionEvaluator"]

_NUM_WORDS = 10


class RecognitionEvaluator(Evaluator):
    """Compares the text of a reply with the name of what its region marks.

    With forced routing the model writes nothing: its answer is the likeliest of the target's
    `candidates`, of which the likelihoods also rank the regions. A target without candidates gives
    the answer, so that generated routing alone measures anything.

    Args:
        encoder: Texts to embeddings (N, C), or `package.module:callable` of such: semantic
            similarity is measured by it, and without it is left out.
    """

    def __init__(self, *, encoder: SentenceEncoder | str | None = None) -> None:
        self.encoder: SentenceEncoder | None = (
            load_object(encoder, "option encoder") if isinstance(encoder, str) else encoder
        )

    def candidates(self, sample: Sample) -> Sequence[str]:
        """The names that the answer is chosen from, where the target tells them."""
        (target,) = _targets(sample)
        return tuple(target.get("candidates", ()))

    def measure(self, sample: Sample, reply: Reply) -> Row:
        """The text, the name, and the kind of the region.

        Raises:
            InputError: The sample has no target with `names` and `prompts`.
        """
        (target,) = _targets(sample)
        return {
            "answer": reply.text.strip(),
            "expected": str(target["names"][0]),
            "prompt": str(target["prompts"][0]),
        }

    def summarize(self, rows: Sequence[Row]) -> dict[str, float]:
        """How many answers are right.

        Returns:
            `accuracy`, the share of answers that are the name, but for case, article, hyphens and
            a full stop; `S-IoU`, the mean share of their words that they have in common;
            `semantic_similarity` where there is an encoder; `mAP` where there are likelihoods: the
            average precision of each name, over all regions that it was a candidate for, ranked by
            its share of the likelihood of all candidates; and its mean over the names that a region
            has. Where there are several kinds of regions, the accuracy of each kind as well:
            `accuracy/point`.

        Raises:
            InputError: There are no answers.
        """
        if not rows:
            raise InputError("Region recognition needs at least one answer. Received: none")
        found, expected = [*map(_answer, rows)], [row["expected"] for row in rows]
        metrics = {
            "accuracy": _accuracy(rows),
            "S-IoU": float(np.mean([*map(word_iou, found, expected)])),
        }
        if self.encoder is not None:
            metrics["semantic_similarity"] = semantic_similarity(found, expected, self.encoder)
        if weighed := [row for row in rows if "likelihoods" in row]:
            metrics["mAP"] = _mean_precision(weighed)
        kinds = sorted({row["prompt"] for row in rows})
        for kind in kinds if len(kinds) > 1 else ():
            metrics[f"accuracy/{kind}"] = _accuracy([r for r in rows if r["prompt"] == kind])
        return metrics

    def quality(self, row: Row) -> float:
        """The share of words that answer and name have in common."""
        return word_iou(_answer(row), row["expected"])

    def remarks(self, rows: Sequence[Row]) -> tuple[str, ...]:
        """What answers were chosen from, and the most frequent mistakes."""
        return (*_choice_remarks(rows), *_mistake_remarks(rows))


def _targets(sample: Sample) -> list[Mapping[str, Any]]:
    return needed_targets(sample, ("names", "prompts"), "Region recognition", most=1)


def _answer(row: Row) -> str:
    """What was written; or, of what a model was to choose from, the likeliest."""
    likelihoods: Mapping[str, float] = row.get("likelihoods", {})
    return max(likelihoods, key=likelihoods.__getitem__) if likelihoods else str(row["answer"])


def _mean_precision(rows: Sequence[Row]) -> float:
    """The mean of the average precision of each name that a region has."""
    shares = [_shares(row["likelihoods"]) for row in rows]
    precisions = []
    for name in {row["expected"] for row in rows}:
        asked = [
            (s[name], r["expected"] == name) for s, r in zip(shares, rows, strict=True) if name in s
        ]
        precisions.append(ranking_precision(*zip(*asked, strict=True)))
    return float(np.mean(precisions))


def _shares(likelihoods: Mapping[str, float]) -> dict[str, float]:
    """The likelihood of each candidate in that of all of them; they are given as logarithms."""
    values = np.array([*likelihoods.values()])
    weights = np.exp(values - values.max())
    return dict(zip(likelihoods, (weights / weights.sum()).tolist(), strict=True))


def _choice_remarks(rows: Sequence[Row]) -> Iterator[str]:
    numbers = sorted({len(row["likelihoods"]) for row in rows if "likelihoods" in row})
    if numbers:
        span = f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
        yield (
            f"The model chose the likeliest of {span} names for each region, and wrote none; mAP "
            "ranks regions by these likelihoods."
        )


def _mistake_remarks(rows: Sequence[Row]) -> Iterator[str]:
    wrong = Counter((row["expected"], _answer(row)) for row in rows if not _is_right(row))
    listed = [
        f"{expected!r} as {answer[:40]!r} ({count})"
        for (expected, answer), count in wrong.most_common(_NUM_WORDS)
    ]
    if listed:
        yield f"Most frequent mistakes: {', '.join(listed)}."


def _is_right(row: Row) -> bool:
    return normalize_answer(_answer(row)) == normalize_answer(row["expected"])


def _accuracy(rows: Sequence[Row]) -> float:
    return float(np.mean([_is_right(row) for row in rows]))
