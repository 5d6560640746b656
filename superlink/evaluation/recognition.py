"""Region recognition: is the answer the name of what is marked?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ..errors import InputError
from ..interfaces import Reply, Sample
from ..registry import load_object
from .evaluator import Evaluator, Row
from .metrics.words import SentenceEncoder, normalize_answer, semantic_similarity, word_iou
from .routing import needed_targets

__all__ = ["RecognitionEvaluator"]

_NUM_WORDS = 10


class RecognitionEvaluator(Evaluator):
    """Compares the text of a reply with the name of what its region marks.

    With forced routing the answer is given, so that generated routing alone measures anything.

    Args:
        encoder: Texts to embeddings (N, C), or `package.module:callable` of such: semantic
            similarity is measured by it, and without it is left out.
    """

    def __init__(self, *, encoder: SentenceEncoder | str | None = None) -> None:
        self.encoder: SentenceEncoder | None = (
            load_object(encoder, "option encoder") if isinstance(encoder, str) else encoder
        )

    def measure(self, sample: Sample, reply: Reply) -> Row:
        """The text, the name, and the kind of the region.

        Raises:
            InputError: The sample has no target with `names` and `prompts`.
        """
        (target,) = needed_targets(sample, ("names", "prompts"), "Region recognition", most=1)
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
            `semantic_similarity` where there is an encoder. Where there are several kinds of
            regions, the accuracy of each kind as well: `accuracy/point`.

        Raises:
            InputError: There are no answers.
        """
        if not rows:
            raise InputError("Region recognition needs at least one answer. Received: none")
        found, expected = [r["answer"] for r in rows], [r["expected"] for r in rows]
        metrics = {
            "accuracy": _accuracy(rows),
            "S-IoU": float(np.mean([*map(word_iou, found, expected)])),
        }
        if self.encoder is not None:
            metrics["semantic_similarity"] = semantic_similarity(found, expected, self.encoder)
        kinds = sorted({row["prompt"] for row in rows})
        for kind in kinds if len(kinds) > 1 else ():
            metrics[f"accuracy/{kind}"] = _accuracy([r for r in rows if r["prompt"] == kind])
        return metrics

    def quality(self, row: Row) -> float:
        """The share of words that answer and name have in common."""
        return word_iou(row["answer"], row["expected"])

    def remarks(self, rows: Sequence[Row]) -> tuple[str, ...]:
        """The most frequent mistakes."""
        wrong = Counter((row["expected"], row["answer"]) for row in rows if not _is_right(row))
        listed = [
            f"{expected!r} as {answer[:40]!r} ({count})"
            for (expected, answer), count in wrong.most_common(_NUM_WORDS)
        ]
        return (f"Most frequent mistakes: {', '.join(listed)}.",) if listed else ()


def _is_right(row: Row) -> bool:
    return normalize_answer(row["answer"]) == normalize_answer(row["expected"])


def _accuracy(rows: Sequence[Row]) -> float:
    return float(np.mean([_is_right(row) for row in rows]))
