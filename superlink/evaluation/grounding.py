"""Grounding: does the region that a reply finds answer the expression?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError, InputError
from ..interfaces import InstancePrediction, Reply, Sample
from .evaluator import Evaluator, Row
from .metrics.overlap import box_iou, iou, mask_overlap, region_metrics
from .routing import finite_remarks, finite_row, instance_predictions, needed_targets

__all__ = ["GroundingEvaluator"]

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _Answer:
    """What a reply found for one expression, best first."""

    bboxes: npt.NDArray[Any]
    """(N, 4)."""
    masks: Mask | None
    """(N, H, W); None where the decoder gives none."""


class GroundingEvaluator(Evaluator):
    """Compares the best instance of a reply with what the expression refers to.

    A target with several names holds one expression for each, and the instances of the route in
    the same place answer it. A sample without a target asks for what is not there. An expression
    without an answer counts as 0.

    Args:
        threshold: Instances with a lower score are no answer. With 0 the LLM alone says that an
            expression refers to nothing, by not calling the decoder.
        merge: Whether all instances together are the answer, as where an expression refers to
            several objects; else the best one is.

    Raises:
        ConfigError: `threshold` is not between 0 and 1.
    """

    def __init__(self, *, threshold: float = 0.0, merge: bool = False) -> None:
        if not 0 <= threshold <= 1:
            raise ConfigError(f"threshold is from 0 to 1. Received: {threshold!r}")
        self.threshold = threshold
        self.merge = merge

    def measure(self, sample: Sample, reply: Reply) -> Row:
        """For each expression: how many objects it refers to, whether there is an answer, and how
        far they overlap.

        Raises:
            InputError: A target lacks `bboxes`, `labels` or `names`, or masks do not have its
                shape.
        """
        targets = needed_targets(sample, ("bboxes", "labels", "names"), "Grounding", least=0)
        found = instance_predictions(reply)
        if not targets:
            answer = self._answer(found, None, sample.key)
            return {"expressions": [_uncalled(answer)], **_seen(found), **finite_row(reply)}
        calls = [found] if len(targets) == 1 else [[call] for call in found[: len(targets)]]
        calls += [[]] * (len(targets) - len(calls))
        return {
            "expressions": [
                expression
                for target, call in zip(targets, calls, strict=True)
                for expression in self._expressions(target, call, sample.key)
            ],
            **_seen(found),
            **finite_row(reply),
        }

    def summarize(self, rows: Sequence[Row]) -> dict[str, float]:
        """How well regions are found.

        Returns:
            `P@0.5`, the share of the referring expressions whose best box overlaps an object that
            is meant by an IoU of at least 0.5; `cIoU`, `gIoU` and `mIoU` of `region_metrics`,
            where all targets and instances have masks, and any was found; `no_target_accuracy`,
            the share of the expressions that refer to nothing which have no answer, where there
            are such.

        Raises:
            InputError: There is no expression.
        """
        expressions = [expression for row in rows for expression in row["expressions"]]
        if not expressions:
            raise InputError("Grounding needs at least one expression. Received: none")
        referring = [bool(expression["objects"]) for expression in expressions]
        metrics: dict[str, float] = {}
        if boxes := [e["box_iou"] for e in expressions if e["objects"]]:
            metrics["P@0.5"] = float(np.mean([value >= 0.5 for value in boxes]))
        masked = any(row["masked"] for row in rows)
        if masked and all("union" in expression for expression in expressions):
            overlaps = [(e["intersection"], e["union"]) for e in expressions]
            metrics |= region_metrics(overlaps, referring)
        if empty := [not e["answered"] for e in expressions if not e["objects"]]:
            metrics["no_target_accuracy"] = float(np.mean(empty))
        return metrics

    def quality(self, row: Row) -> float:
        """The mean IoU of the expressions, of masks where there are any; 1 where nothing was to be
        found, and nothing was."""
        return float(np.mean([_quality(expression) for expression in row["expressions"]]))

    def remarks(self, rows: Sequence[Row]) -> tuple[str, ...]:
        """How expressions that refer to nothing were judged, where it matters, and what was left
        out."""
        return (*self._threshold_remarks(rows), *_mask_remarks(rows), *finite_remarks(rows))

    def _threshold_remarks(self, rows: Sequence[Row]) -> tuple[str, ...]:
        referring = [bool(e["objects"]) for row in rows for e in row["expressions"]]
        if all(referring) or self.threshold:
            return ()
        return (
            f"{referring.count(False)} of {len(referring)} expressions refer to nothing, and an "
            "instance of any score was taken for an answer. The evaluator's option threshold says "
            "from which score on one counts.",
        )

    def _expressions(
        self, target: Mapping[str, Any], call: Sequence[InstancePrediction], key: str
    ) -> Iterator[dict[str, Any]]:
        num_names = len(target["names"])
        for label in range(num_names):
            # The only expression of a call owns all instances, however often it was routed.
            parts = [p.select(p.labels == label) if num_names > 1 else p for p in call]
            yield _compare(target, label, self._answer(parts, target.get("masks"), key))

    def _answer(self, parts: Sequence[InstancePrediction], truth: Any, key: str) -> _Answer:
        kept = [part.above(self.threshold) for part in parts]
        scores = np.concatenate([np.zeros(0), *(part.scores.cpu().numpy() for part in kept)])
        order = np.argsort(-scores, kind="stable")[: None if self.merge else 1]
        bboxes = np.concatenate([np.zeros((0, 4)), *(part.bboxes.cpu().numpy() for part in kept)])
        masks = [part.masks.cpu().numpy() > 0.5 for part in kept if part.masks is not None]
        if not masks or len(masks) < len(kept):
            return _Answer(bboxes[order], None)
        if truth is not None and any(mask.shape[1:] != truth.shape[1:] for mask in masks):
            raise InputError(
                f"Masks must have the original image's size {tuple(truth.shape[1:])}. "
                f"Received: {[mask.shape[1:] for mask in masks]} for sample {key!r}"
            )
        return _Answer(bboxes[order], np.concatenate(masks)[order])


def _compare(target: Mapping[str, Any], label: int, answer: _Answer) -> dict[str, Any]:
    meant = (target["labels"] == label).numpy()  # (N,)
    overlaps = box_iou(answer.bboxes[:1], target["bboxes"].numpy()[meant])
    found: dict[str, Any] = {
        "objects": int(meant.sum()),
        "answered": bool(len(answer.bboxes)),
        "box_iou": float(overlaps.max(initial=0.0)),
    }
    if "masks" in target:
        found["target_masks"] = True
    if "masks" in target and (answer.masks is not None or not found["answered"]):
        truth = target["masks"].numpy()[meant].any(axis=0)  # (H, W)
        masks = np.zeros((0, *truth.shape), np.bool_) if answer.masks is None else answer.masks
        region: Mask = np.any(masks, axis=0)  # (H, W)
        void = target["void"].numpy() if "void" in target else None
        found["intersection"], found["union"] = mask_overlap(region, truth, void)
    return found


def _seen(found: Sequence[InstancePrediction]) -> dict[str, bool]:
    """Whether a reply has any predicted mask."""
    return {"masked": any(part.masks is not None and bool(len(part.labels)) for part in found)}


def _mask_remarks(rows: Sequence[Row]) -> Iterator[str]:
    expressions = [expression for row in rows for expression in row["expressions"]]
    bare = sum("union" not in expression for expression in expressions)
    masked = any(row["masked"] for row in rows)
    meant = masked or any(expression.get("target_masks") for expression in expressions)
    if meant and (bare or not masked):
        reason = f"{bare} of {len(expressions)} expressions lack a mask in target or answer"
        yield (
            "cIoU, gIoU and mIoU are left out: "
            f"{reason if bare else 'no reply has a predicted mask'}."
        )


def _uncalled(answer: _Answer) -> dict[str, Any]:
    """An expression of which nothing is annotated, for it refers to nothing."""
    found = {"objects": 0, "answered": bool(len(answer.bboxes)), "box_iou": 0.0}
    if answer.masks is None and found["answered"]:
        return found
    area = 0 if answer.masks is None else int(answer.masks.any(axis=0).sum())
    return {**found, "intersection": 0, "union": area}


def _quality(expression: Mapping[str, Any]) -> float:
    if not expression["objects"]:
        return float(not expression["answered"])
    if "union" in expression:
        return iou(expression["intersection"], expression["union"])
    return float(expression["box_iou"])
