"""Detection through a conversation: average precision of the boxes, and whether the routes fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from ..errors import InputError
from ..interfaces import InstancePrediction, Reply, Sample
from .average_precision import BoxRecord, average_precision
from .evaluator import Evaluator, Row
from .routing import RoutingScore, normalize_phrase

__all__ = ["DetectionEvaluator"]

_Box = tuple[str, list[float], float]


class DetectionEvaluator(Evaluator):
    """Compares the instances of replies with the targets of their samples.

    The phrase of a route says which class its instances belong to. Classes that the LLM did not
    route count as missed. A phrase that is no annotated class leaves the AP as it is, for AP is a
    mean over annotated classes, and lowers the precision of routing.
    """

    def measure(self, sample: Sample, reply: Reply) -> Row:
        """Boxes with their classes, and the phrases that were routed.

        Raises:
            InputError: The sample has no target with `bboxes`, `labels` and `names`.
        """
        targets = [target for target in sample.targets if target is not None]
        needed = {"bboxes", "labels", "names"}
        if not targets or any(not needed <= target.keys() for target in targets):
            raise InputError(
                f"Detection is measured against targets with {sorted(needed)}. Received: "
                f"{[sorted(target) for target in targets]} in sample {sample.key!r}"
            )
        truths: list[_Box] = []
        predictions: list[_Box] = []
        for target in targets:
            phrases = [target["names"][label] for label in target["labels"].tolist()]
            truths += _boxes(phrases, target["bboxes"], [1.0] * len(phrases))
        for prediction in reply.predictions:
            if isinstance(prediction, InstancePrediction):
                phrases = [prediction.phrases[label] for label in prediction.labels.tolist()]
                predictions += _boxes(phrases, prediction.bboxes, prediction.scores.tolist())
        return {
            "truths": truths,
            "predictions": predictions,
            "routed": [route.phrase for route in reply.routes],
            "expected": [name for target in targets for name in target["names"]],
        }

    def summarize(self, rows: Sequence[Row]) -> dict[str, float]:
        """`box_AP`, `box_AP50`, `box_AP75`, `list_exact`, `routing_recall`, `routing_precision`.

        Raises:
            InputError: No sample has an annotated box.
            MissingDependencyError: pycocotools is not installed.
        """
        routing = RoutingScore()
        for row in rows:
            routing.update(row["routed"], row["expected"])
        truths, predictions = (
            list(_records(rows, section)) for section in ("truths", "predictions")
        )
        return {**average_precision(truths, predictions, len(rows)), **routing.compute()}


def _boxes(phrases: Sequence[str], bboxes: Tensor, scores: Sequence[float]) -> Iterator[_Box]:
    for phrase, bbox, score in zip(phrases, bboxes.tolist(), scores, strict=True):
        yield normalize_phrase(phrase), bbox, score


def _records(rows: Sequence[Row], section: str) -> Iterator[BoxRecord]:
    for image, row in enumerate(rows):
        for category, (x1, y1, x2, y2), score in row[section]:
            yield BoxRecord(image, category, (x1, y1, x2, y2), score)
