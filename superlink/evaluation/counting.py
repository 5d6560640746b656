"""Counting: how many instances a reply finds, against how many there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import ConfigError
from ..interfaces import Reply, Sample
from .evaluator import Evaluator, Row
from .metrics.counting import counting_metrics
from .metrics.matching import load_synonyms
from .metrics.routing import RoutingScore
from .routing import (
    AskedNames,
    finite_remarks,
    finite_row,
    instance_predictions,
    known_names,
    needed_targets,
    routing_score,
    word_remarks,
)

__all__ = ["CountingEvaluator"]


class CountingEvaluator(Evaluator):
    """Counts the instances of the name that was asked for, and looks whether the routes fit.

    Where the name was routed several times, the first route of it counts alone.

    Args:
        threshold: Instances with a lower score are not counted.
        synonyms: Name to other words for it, or a JSON or YAML file of such.

    Raises:
        InputError: The file of synonyms cannot be read.
        ConfigError: `threshold` is not between 0 and 1, or synonyms are no mapping of names to
            lists of words.
    """

    def __init__(
        self,
        *,
        threshold: float = 0.3,
        synonyms: Mapping[str, Sequence[str]] | str | Path | None = None,
    ) -> None:
        if not 0 <= threshold <= 1:
            raise ConfigError(f"threshold is from 0 to 1. Received: {threshold!r}")
        self.threshold = threshold
        self.synonyms = load_synonyms(synonyms)

    def measure(self, sample: Sample, reply: Reply) -> Row:
        """`expected` and `found`, two counts, and `routing`, the phrases that were routed.

        Raises:
            InputError: The sample has no target with `count` and `names`.
        """
        (target,) = needed_targets(sample, ("count", "names"), "Counting", most=1)
        names = AskedNames([target], self.synonyms)
        found, counted = 0, set()
        for prediction in instance_predictions(reply):
            labels = prediction.above(self.threshold).labels.tolist()
            for label, phrase in enumerate(prediction.phrases):
                category = names.category(phrase)
                if category is not None and category not in counted:
                    counted.add(category)
                    found += labels.count(label)
        return {
            "expected": int(target["count"]),
            "found": found,
            "routing": names.row(reply),
            **finite_row(reply),
        }

    def summarize(self, rows: Sequence[Row]) -> dict[str, float]:
        """`MAE`, `RMSE` and `exact` of `counting_metrics`, and those of `RoutingScore`.

        Raises:
            InputError: There are no counts.
        """
        counts = [row["expected"] for row in rows], [row["found"] for row in rows]
        return {**counting_metrics(*counts), **self._routing(rows).compute()}

    def quality(self, row: Row) -> float:
        """The error of the count, negative, so that more is better."""
        return float(0 - abs(row["found"] - row["expected"]))

    def remarks(self, rows: Sequence[Row]) -> tuple[str, ...]:
        """From which score on an instance was counted, which words were not asked for, and what
        was left out."""
        counted = f"Instances with a score of at least {self.threshold} are counted."
        return (counted, *word_remarks(self._routing(rows)), *finite_remarks(rows))

    def _routing(self, rows: Sequence[Row]) -> RoutingScore:
        routing = [row["routing"] for row in rows]
        return routing_score(routing, known_names(routing, self.synonyms))
