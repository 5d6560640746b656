"""Salient and camouflaged objects: the instances of a reply as one soft map of the foreground."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..interfaces import Reply, Sample
from .evaluator import Evaluator, Row
from .metrics.routing import RoutingScore
from .metrics.salience import salience_metrics, salience_scores
from .routing import (
    AskedNames,
    finite_remarks,
    finite_row,
    instance_predictions,
    known_names,
    needed_masks,
    needed_targets,
    routing_score,
    word_remarks,
)

__all__ = ["SalienceEvaluator"]


class SalienceEvaluator(Evaluator):
    """Compares a map of the foreground with the masks of the target.

    Each pixel of the map has the highest score of the instances whose mask covers it; soft masks
    are multiplied by their score. A reply without instances gives an empty map. Routes to another
    word than the one that was asked for count as nothing; routes without a phrase are fine.
    """

    def measure(self, sample: Sample, reply: Reply) -> Row:
        """The scores of one image, see `salience_scores`, and `routing`, the phrases that were
        routed.

        Raises:
            InputError: The sample has no target with `masks` and `names`, or the instances have
                no masks of its shape.
            MissingDependencyError: py_sod_metrics is not installed.
        """
        (target,) = needed_targets(sample, ("masks", "names"), "Salience", most=1)
        names = AskedNames([target], {}, blank=True)
        truth = target["masks"].numpy().any(axis=0)  # (H, W)
        soft = np.zeros(truth.shape, np.float32)
        for prediction in instance_predictions(reply):
            masks = needed_masks(prediction, truth.shape, sample.key)
            asked = [names.category(phrase) is not None for phrase in prediction.phrases]
            labels, scores = prediction.labels.tolist(), prediction.scores.tolist()
            for mask, label, score in zip(masks, labels, scores, strict=True):
                if asked[label]:
                    np.maximum(soft, mask.astype(np.float32) * score, out=soft)
        return {
            **salience_scores(soft, truth),
            "routing": names.row(reply),
            **finite_row(reply),
        }

    def summarize(self, rows: Sequence[Row]) -> dict[str, float]:
        """The mean of each score over all images, and the metrics of `RoutingScore`.

        Raises:
            InputError: There are no images.
        """
        beside = {"routing", "not_finite"}
        scores = [{k: v for k, v in row.items() if k not in beside} for row in rows]
        return {**salience_metrics(scores), **_routing(rows).compute()}

    def quality(self, row: Row) -> float:
        """The structure measure."""
        return float(row["S"])

    def remarks(self, rows: Sequence[Row]) -> tuple[str, ...]:
        """Which words were not asked for, and what was left out."""
        return (*word_remarks(_routing(rows)), *finite_remarks(rows))


def _routing(rows: Sequence[Row]) -> RoutingScore:
    routing = [row["routing"] for row in rows]
    return routing_score(routing, known_names(routing, {}))
