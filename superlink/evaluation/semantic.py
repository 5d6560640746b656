"""Semantic segmentation: the instances of a reply as one label for each pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..interfaces import Reply, Sample
from .evaluator import Evaluator, Row
from .metrics.matching import load_synonyms
from .metrics.overlap import iou
from .metrics.segmentation import Labels, count_pixels, label_map, segmentation_metrics
from .routing import (
    AskedNames,
    instance_predictions,
    known_names,
    needed_masks,
    needed_targets,
    routing_score,
    word_remarks,
)

__all__ = ["SemanticEvaluator"]


class SemanticEvaluator(Evaluator):
    """Compares the class of each pixel, and whether the routes fit.

    A pixel has the class of the surest instance whose mask covers it; instances of phrases that
    were not asked for count for no class. Pixels of a target's `void` are left out.

    Args:
        synonyms: Class to other words for it, or a JSON or YAML file of such.

    Raises:
        InputError: The file of synonyms cannot be read.
        ConfigError: Synonyms are no mapping of names to lists of words.
    """

    def __init__(self, *, synonyms: Mapping[str, Sequence[str]] | str | Path | None = None) -> None:
        self.synonyms = load_synonyms(synonyms)

    def measure(self, sample: Sample, reply: Reply) -> Row:
        """The pixels of each class that occurs, and the phrases that were routed.

        Raises:
            InputError: The sample has no target with `masks`, `labels` and `names`, or more than
                one; the instances have no masks of the target's shape.
        """
        (target,) = needed_targets(
            sample, ("masks", "labels", "names"), "Semantic segmentation", most=1
        )
        names = AskedNames([target], self.synonyms)
        size = tuple(target["masks"].shape[1:])
        truth = label_map(
            target["masks"].numpy(), target["labels"].tolist(), [1.0] * len(target["labels"]), size
        )
        predicted = _predicted(reply, names, size, sample.key)
        void = target["void"].numpy() if "void" in target else None
        return {
            **names.row(reply),
            "classes": count_pixels(predicted, truth, target["names"], void),
        }

    def summarize(self, rows: Sequence[Row]) -> dict[str, float]:
        """The metrics of `segmentation_metrics`, and those of `RoutingScore`.

        Raises:
            InputError: No pixel is annotated.
        """
        score = routing_score(rows, known_names(rows, self.synonyms))
        return {**segmentation_metrics(row["classes"] for row in rows), **score.compute()}

    def quality(self, row: Row) -> float | None:
        """The mean IoU of the classes that are annotated; None where there are none."""
        ious = [iou(shared, union) for shared, union, meant in row["classes"].values() if meant]
        return float(np.mean(ious)) if ious else None

    def remarks(self, rows: Sequence[Row]) -> tuple[str, ...]:
        """Which phrases no class has, and which names came twice."""
        return tuple(word_remarks(routing_score(rows, known_names(rows, self.synonyms))))


def _predicted(reply: Reply, names: AskedNames, size: tuple[int, ...], key: str) -> Labels:
    """The labels (H, W) that a reply gives to pixels: indices into the expected names."""
    masks, labels, scores = [], [], []
    for prediction in instance_predictions(reply):
        categories = [names.category(phrase) for phrase in prediction.phrases]
        found = needed_masks(prediction, size, key)
        for mask, label, score in zip(
            found, prediction.labels.tolist(), prediction.scores.tolist(), strict=True
        ):
            if (category := categories[label]) is not None:
                masks.append(mask)
                labels.append(names.expected.index(category))
                scores.append(score)
    return label_map(masks, labels, scores, (size[0], size[1]))
