"""Counting: how many instances a reply finds, against how many there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import ConfigError
from ..interfaces import Reply, Sample
from .evaluator import Evaluator, Row
from .metrics.counting import counting_metrics
from .metrics.matching import load_synonyms
from .routing import AskedNames, instance_predictions, needed_targets

__all__ = ["CountingEvaluator"]


class CountingEvaluator(Evaluator):
    """Counts the instances of the name that was asked for.

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
        """`expected` and `found`, two counts.

        Raises:
            InputError: The sample has no target with `count` and `names`.
        """
        (target,) = needed_targets(sample, ("count", "names"), "Counting", most=1)
        names = AskedNames([target], self.synonyms)
        found = 0
        for prediction in instance_predictions(reply):
            asked = [names.category(phrase) is not None for phrase in prediction.phrases]
            labels = prediction.above(self.threshold).labels.tolist()
            found += sum(asked[label] for label in labels)
        return {"expected": int(target["count"]), "found": found}

    def summarize(self, rows: Sequence[Row]) -> dict[str, float]:
        """`MAE`, `RMSE` and `exact`; see `counting_metrics`.

        Raises:
            InputError: There are no counts.
        """
        return counting_metrics([row["expected"] for row in rows], [row["found"] for row in rows])

    def quality(self, row: Row) -> float:
        """The error of the count, negative, so that more is better."""
        return float(0 - abs(row["found"] - row["expected"]))

    def remarks(self, rows: Sequence[Row]) -> tuple[str, ...]:
        """From which score on an instance was counted."""
        return (f"Instances with a score of at least {self.threshold} are counted.",)
