"""Salient and camouflaged objects: the instances of a reply as one soft map of the foreground."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..interfaces import Reply, Sample
from .evaluator import Evaluator, Row
from .metrics.salience import salience_metrics, salience_scores
from .routing import instance_predictions, needed_masks, needed_targets

__all__ = ["SalienceEvaluator"]


class SalienceEvaluator(Evaluator):
    """Compares a map of the foreground with the masks of the target.

    Each pixel of the map has the highest score of the instances whose mask covers it; soft masks
    are multiplied by their score. A reply without instances gives an empty map.
    """

    def measure(self, sample: Sample, reply: Reply) -> Row:
        """The scores of one image; see `salience_scores`.

        Raises:
            InputError: The sample has no target with `masks`, or the instances have no masks of
                its shape.
            MissingDependencyError: py_sod_metrics is not installed.
        """
        (target,) = needed_targets(sample, ("masks",), "Salience", most=1)
        truth = target["masks"].numpy().any(axis=0)  # (H, W)
        soft = np.zeros(truth.shape, np.float32)
        for prediction in instance_predictions(reply):
            masks = needed_masks(prediction, truth.shape, sample.key)
            for mask, score in zip(masks, prediction.scores.tolist(), strict=True):
                np.maximum(soft, mask.astype(np.float32) * score, out=soft)
        return salience_scores(soft, truth)

    def summarize(self, rows: Sequence[Row]) -> dict[str, float]:
        """The mean of each score over all images.

        Raises:
            InputError: There are no images.
        """
        return salience_metrics(rows)

    def quality(self, row: Row) -> float:
        """The structure measure."""
        return float(row["S"])
