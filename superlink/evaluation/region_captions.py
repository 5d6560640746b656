"""Region captions: how near is an answer to the descriptions of what is marked?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import InputError
from ..interfaces import Reply, Sample
from .evaluator import Evaluator, Row
from .metrics.captions import caption_metrics, check_caption_packages
from .metrics.words import normalize_answer, word_iou
from .routing import needed_targets

__all__ = ["RegionCaptionEvaluator"]


class RegionCaptionEvaluator(Evaluator):
    """Compares the text of a reply with all descriptions of what its region marks.

    With forced routing the answer is given, so that generated routing alone measures anything.

    Args:
        java: Whether to measure METEOR as well, which runs on Java; see `caption_metrics`.
    """

    def __init__(self, *, java: bool = False) -> None:
        self.java = java

    def check(self) -> None:
        """Raise where a package that measures captions is not installed."""
        check_caption_packages(java=self.java)

    def measure(self, sample: Sample, reply: Reply) -> Row:
        """The text and the descriptions.

        Raises:
            InputError: The sample has no target with `references`.
        """
        (target,) = needed_targets(sample, ("references",), "Region captioning", most=1)
        return {"answer": reply.text.strip(), "references": list(target["references"])}

    def summarize(self, rows: Sequence[Row]) -> dict[str, float]:
        """The metrics of `caption_metrics`, and `exact`, the share of answers that are one of the
        descriptions, but for case, article and a full stop.

        Raises:
            InputError: There are no answers.
            MissingDependencyError: A package that measures captions is not installed.
        """
        if not rows:
            raise InputError("Region captioning needs at least one answer. Received: none")
        answers, references = [r["answer"] for r in rows], [r["references"] for r in rows]
        found = caption_metrics(answers, references, java=self.java)
        return {**found, "exact": float(np.mean([_is_exact(row) for row in rows]))}

    def quality(self, row: Row) -> float:
        """The share of words that the answer has in common with the nearest description."""
        return max(word_iou(row["answer"], reference) for reference in row["references"])


def _is_exact(row: Row) -> bool:
    return normalize_answer(row["answer"]) in [*map(normalize_answer, row["references"])]
