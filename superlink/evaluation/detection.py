"""Detection through a conversation: average precision of boxes and masks, and whether the routes
fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..interfaces import Reply, Sample
from .evaluator import Evaluator, Row
from .instances import annotated_instances, boxes_by_name, found_instances, instance_row
from .metrics.average_precision import Kind, average_precision, mean_over_sets
from .metrics.crowd import CrowdImage, crowd_metrics
from .metrics.matching import CategoryMatcher, load_synonyms
from .metrics.overlap import matched_f1
from .routing import (
    AskedNames,
    finite_remarks,
    finite_row,
    instance_predictions,
    known_names,
    needed_targets,
    resolve_phrases,
    routing_score,
    word_remarks,
)

__all__ = ["DetectionEvaluator"]

_SURE = 0.3
"""The score from which on the quality of one reply counts an instance."""
_PERSON = CategoryMatcher(("person",))
_NONE: tuple[list[list[float]], list[float]] = ([], [])


class DetectionEvaluator(Evaluator):
    """Compares the instances of replies with the targets of their samples.

    The phrase of a route says which class its instances belong to. Classes that the LLM did not
    route count as missed. A phrase that is no annotated class leaves the AP as it is, for AP is a
    mean over annotated classes, and lowers the precision of routing. Where targets name their
    `dataset`, each set is measured alone, and AP and AR are means over the sets.

    Args:
        crowd: Whether to measure the class `person` as CrowdHuman does, too.
        synonyms: Class to other words for it, or a JSON or YAML file of such.

    Raises:
        InputError: The file of synonyms cannot be read.
        ConfigError: Synonyms are no mapping of names to lists of words.
    """

    def __init__(
        self,
        *,
        crowd: bool = False,
        synonyms: Mapping[str, Sequence[str]] | str | Path | None = None,
    ) -> None:
        self.crowd = crowd
        self.synonyms = load_synonyms(synonyms)

    def measure(self, sample: Sample, reply: Reply) -> Row:
        """Instances with their classes, and the phrases that were routed.

        Raises:
            InputError: The sample has no target with `bboxes`, `labels` and `names`, or predicted
                masks do not have the image's size.
        """
        targets = needed_targets(sample, ("bboxes", "labels", "names"), "Detection")
        names = AskedNames(targets, self.synonyms)
        row = instance_row(targets, instance_predictions(reply), names, sample.key)
        sets = {"dataset": targets[-1]["dataset"]} if targets[-1].get("dataset") else {}
        return {
            **_named(targets, names.row(reply), self.synonyms),
            **row,
            **sets,
            **finite_row(reply),
        }

    def summarize(self, rows: Sequence[Row]) -> dict[str, float]:
        """The metrics of `average_precision` for boxes, and for masks where all targets and
        instances have them, and any instance was found; those of `crowd_metrics` where they are
        wanted; those of `RoutingScore`.

        Raises:
            InputError: No sample has an annotated object.
            MissingDependencyError: pycocotools is not installed.
        """
        known = known_names(rows, self.synonyms)
        sets = _by_set(rows)
        full = {name: part for name, part in sets.items() if _any_truth(part)} or {"": [*rows]}
        seen = any("masks" in row["found"] for row in rows)
        found = {name: _precision(part, known, seen) for name, part in full.items()}
        metrics = found[""] if set(found) == {""} else mean_over_sets(found)
        if self.crowd:
            metrics |= crowd_metrics([_crowd_image(row, known) for row in rows])
        return {**metrics, **routing_score(rows, known).compute()}

    def quality(self, row: Row) -> float:
        """The mean over the annotated classes of 2 TP / (2 TP + FP + FN), at an IoU of 0.5, of
        boxes with a score of at least 0.3."""
        truths = boxes_by_name(row["truths"], row["expected"])
        ignored = boxes_by_name(row["ignored"], row["expected"])
        asked = [category for _, category, _ in row["phrases"]]
        found = boxes_by_name(row["found"], asked, _SURE)
        if not truths:
            return float(not found)
        scores = [
            matched_f1(boxes, ignored.get(name, _NONE)[0], found.get(name, _NONE)[0])
            for name, (boxes, _) in truths.items()
        ]
        return float(np.mean(scores))

    def remarks(self, rows: Sequence[Row]) -> tuple[str, ...]:
        """Which sets AP is a mean of, which phrases no class has, which names came twice, and what
        was left out."""
        sets = {name: part for name, part in _by_set(rows).items() if name}
        full = [name for name, part in sets.items() if _any_truth(part)]
        lines = [f"AP and AR are means over {len(full)} sets: {', '.join(full)}."] if sets else []
        if bare := [name for name in sets if name not in full]:
            lines.append(
                f"Sets left out, as none of their objects is annotated: {', '.join(bare)}."
            )
        words = word_remarks(routing_score(rows, known_names(rows, self.synonyms)))
        return (*lines, *words, *_mask_remarks(rows), *finite_remarks(rows))


def _named(
    targets: Sequence[Mapping[str, Any]], row: Row, synonyms: Mapping[str, Sequence[str]]
) -> Row:
    """A row with `unsure`, the phrases of which targets with `known_names` know nothing."""
    if not all("known_names" in target for target in targets):
        return row
    known = CategoryMatcher((n for target in targets for n in target["known_names"]), synonyms)
    unsure = [
        index
        for index, (phrase, category, _) in enumerate(row["phrases"])
        if category is None and known.match(phrase).category is None
    ]
    return {**row, "unsure": unsure} if unsure else row


def _by_set(rows: Sequence[Row]) -> dict[str, list[Row]]:
    sets: dict[str, list[Row]] = {}
    for row in rows:
        sets.setdefault(row.get("dataset", ""), []).append(row)
    return sets


def _any_truth(rows: Sequence[Row]) -> bool:
    return any(row["truths"]["labels"] for row in rows)


def _masks(rows: Sequence[Row], section: str) -> list[bool]:
    """Of each row with instances in `section`, whether they have masks."""
    return ["masks" in row[section] for row in rows if row[section]["labels"]]


def _mask_remarks(rows: Sequence[Row]) -> Iterator[str]:
    truths, found = _masks(rows, "truths"), _masks(rows, "found")
    if any(found) and all(truths) and all(found):
        return
    if any(truths) or any(found):
        yield (
            "Metrics of masks are left out where masks are missing: "
            f"{truths.count(False)} of {len(truths)} targets with objects and "
            f"{found.count(False)} of {len(found)} replies with instances have none."
        )


def _precision(rows: Sequence[Row], known: CategoryMatcher, seen: bool) -> dict[str, float]:
    masked = seen and all(_masks(rows, "truths")) and all(_masks(rows, "found"))
    kinds: tuple[Kind, ...] = ("box", "mask") if masked else ("box",)
    truths = list(annotated_instances(rows))
    found = list(found_instances(rows, [_categories(row, known) for row in rows]))
    metrics: dict[str, float] = {}
    for kind in kinds:
        # A crowd that has a box alone cannot be compared with masks.
        kept = [item for item in truths if kind == "box" or item.mask is not None]
        metrics |= average_precision(kept, found, len(rows), kind)
    return metrics


def _categories(row: Row, known: CategoryMatcher) -> list[str | None]:
    """The class of each phrase; None also where its class is not known of the image."""
    unsure = row.get("unsure", ())
    return [
        None if index in unsure else category
        for index, (_, category, _) in enumerate(resolve_phrases(row, known))
    ]


def _crowd_image(row: Row, known: CategoryMatcher) -> CrowdImage:
    expected, found, others = (
        [None if name is None else _PERSON.match(name).category for name in names]
        for names in (row["expected"], _categories(row, known), row.get("other_names", ()))
    )
    boxes, scores = boxes_by_name(row["found"], found).get("person", _NONE)
    return CrowdImage(
        truths=boxes_by_name(row["truths"], expected).get("person", _NONE)[0],
        ignored=[
            *boxes_by_name(row["ignored"], expected).get("person", _NONE)[0],
            *boxes_by_name(row["other_ignored"], others).get("person", _NONE)[0],
        ]
        if "other_ignored" in row
        else boxes_by_name(row["ignored"], expected).get("person", _NONE)[0],
        bboxes=boxes,
        scores=scores,
        size=row.get("size"),
    )
