"""Semantic segmentation: the instances of a reply as one label for each pixel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..interfaces import Reply, Sample
from .evaluator import Evaluator, Row
from .metrics.matching import CategoryMatcher, load_synonyms
from .metrics.overlap import iou
from .metrics.segmentation import (
    ClassPixels,
    Labels,
    count_pixels,
    label_map,
    segmentation_metrics,
)
from .routing import (
    AskedNames,
    finite_remarks,
    finite_row,
    instance_predictions,
    known_names,
    needed_masks,
    needed_targets,
    resolve_phrases,
    routing_score,
    word_remarks,
)

__all__ = ["SemanticEvaluator"]


class SemanticEvaluator(Evaluator):
    """Compares the class of each pixel, and whether the routes fit.

    A pixel has the class of the surest instance whose mask covers it. What a phrase covers that
    was not asked for is wrong: the pixels are lost for their true class, and count as found of the
    class that the phrase means, where other samples ask for it. Pixels of a target's `void` are
    left out.

    Args:
        synonyms: Class to other words for it, or a JSON or YAML file of such.

    Raises:
        InputError: The file of synonyms cannot be read.
        ConfigError: Synonyms are no mapping of names to lists of words.
    """

    def __init__(self, *, synonyms: Mapping[str, Sequence[str]] | str | Path | None = None) -> None:
        self.synonyms = load_synonyms(synonyms)

    def measure(self, sample: Sample, reply: Reply) -> Row:
        """The pixels of each class that occurs, those of `others`, phrases that were not asked
        for, and the phrases that were routed.

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
        predicted, others = _predicted(reply, names, size, sample.key)
        void = target["void"].numpy() if "void" in target else None
        asked = len(names.expected)
        labels = [str(label) for label in range(asked + len(others))]
        pixels = count_pixels(predicted, truth, labels, void)
        counts = [pixels.get(label, [0, 0, 0]) for label in labels]
        classes = zip(names.expected, counts[:asked], strict=True)
        strays = zip(others, counts[asked:], strict=True)
        return {
            **names.row(reply),
            "classes": {name: count for name, count in classes if count[1]},
            "others": {phrase: union for phrase, (_, union, _) in strays if union},
            **finite_row(reply),
        }

    def summarize(self, rows: Sequence[Row]) -> dict[str, float]:
        """The metrics of `segmentation_metrics`, and those of `RoutingScore`.

        Raises:
            InputError: No pixel is annotated.
        """
        known = known_names(rows, self.synonyms)
        classes = [part for row in rows for part in (row["classes"], *_strays(row, known))]
        return {**segmentation_metrics(classes), **routing_score(rows, known).compute()}

    def quality(self, row: Row) -> float | None:
        """The mean IoU of the classes that are annotated; None where there are none."""
        ious = [iou(shared, union) for shared, union, meant in row["classes"].values() if meant]
        return float(np.mean(ious)) if ious else None

    def remarks(self, rows: Sequence[Row]) -> tuple[str, ...]:
        """Which phrases no class has, which names came twice, and what was left out."""
        score = routing_score(rows, known_names(rows, self.synonyms))
        return (*word_remarks(score), *finite_remarks(rows))


def _strays(row: Row, known: CategoryMatcher) -> Iterator[ClassPixels]:
    """The pixels that a reply gives to classes that its sample did not ask for."""
    for phrase, category, _ in resolve_phrases(row, known):
        if category is not None and phrase in row["others"]:
            yield {category: [0, row["others"][phrase], 0]}


def _predicted(
    reply: Reply, names: AskedNames, size: tuple[int, ...], key: str
) -> tuple[Labels, list[str]]:
    """The labels (H, W) that a reply gives to pixels, and the phrases that were not asked for:
    labels are indices into the expected names and then into these phrases."""
    masks: list[Any] = []
    labels: list[int] = []
    scores: list[float] = []
    others: list[str] = []
    for prediction in instance_predictions(reply):
        masks.extend(needed_masks(prediction, size, key))
        scores += prediction.scores.tolist()
        for label in prediction.labels.tolist():
            phrase = prediction.phrases[label]
            category = names.category(phrase)
            names.phrase(phrase)
            if category is None and phrase not in others:
                others.append(phrase)
            first = len(names.expected)
            labels.append(
                first + others.index(phrase) if category is None else names.expected.index(category)
            )
    return label_map(masks, labels, scores, (size[0], size[1])), others
