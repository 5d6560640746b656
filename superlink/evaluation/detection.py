"""Detection through a conversation: average precision of the boxes, and whether the routes fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from ..errors import InputError
from ..interfaces import InstancePrediction, Reply, Sample
from .average_precision import BoxRecord, average_precision
from .routing import RoutingScore, normalize_phrase

__all__ = ["DetectionEvaluator"]


class DetectionEvaluator:
    """Compares the instances of replies with the targets of their samples.

    The phrase of a route says which class its instances belong to. Classes that the LLM did not
    route count as missed. A phrase that is no annotated class leaves the AP as it is, for AP is a
    mean over annotated classes, and lowers the precision of routing.
    """

    def __init__(self) -> None:
        self._truths: list[BoxRecord] = []
        self._predictions: list[BoxRecord] = []
        self._routing = RoutingScore()
        self._num_samples = 0

    def update(self, sample: Sample, reply: Reply) -> None:
        """Take in a sample with detection targets and the reply to it.

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
        for target in targets:
            labels = target["labels"].tolist()
            phrases = [target["names"][label] for label in labels]
            self._truths += self._records(phrases, target["bboxes"], [1.0] * len(labels))
        for prediction in reply.predictions:
            if isinstance(prediction, InstancePrediction):
                phrases = [prediction.phrases[label] for label in prediction.labels.tolist()]
                scores = prediction.scores.tolist()
                self._predictions += self._records(phrases, prediction.bboxes, scores)
        names = [name for target in targets for name in target["names"]]
        self._routing.update((route.phrase for route in reply.routes), names)
        self._num_samples += 1

    def compute(self) -> dict[str, float]:
        """`box_AP`, `box_AP50`, `box_AP75`, `list_exact`, `routing_recall`, `routing_precision`.

        Raises:
            InputError: No sample with an annotated box was seen.
            MissingDependencyError: pycocotools is not installed.
        """
        precision = average_precision(self._truths, self._predictions, self._num_samples)
        return {**precision, **self._routing.compute()}

    def _records(
        self, phrases: Sequence[str], bboxes: Tensor, scores: Sequence[float]
    ) -> Iterator[BoxRecord]:
        for phrase, bbox, score in zip(phrases, bboxes.tolist(), scores, strict=True):
            x1, y1, x2, y2 = bbox
            category = normalize_phrase(phrase)
            yield BoxRecord(self._num_samples, category, (x1, y1, x2, y2), score)
