"""CrowdHuman's metrics: AP at IoU 0.5, log-average miss rate and recall, with ignored regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from .overlap import match_boxes

__all__ = ["CrowdImage", "crowd_metrics"]

_REFERENCES = (0.01, 0.0178, 0.0316, 0.0562, 0.1, 0.1778, 0.3162, 0.5623, 1.0)
"""False positives per image at which the miss rate is read, rounded as published."""


@dataclass(frozen=True)
class CrowdImage:
    """The boxes of one image, each (x1, y1, x2, y2) in pixels."""

    truths: Sequence[Sequence[float]]
    """N people."""
    ignored: Sequence[Sequence[float]]
    """M regions in which nobody was annotated one by one."""
    bboxes: Sequence[Sequence[float]]
    """P found people."""
    scores: Sequence[float]
    """Confidence of each found person."""
    size: Sequence[int] | None = None
    """Height and width that boxes are cut to; None leaves them as they are."""


def crowd_metrics(images: Sequence[CrowdImage]) -> dict[str, float]:
    """Measure people in crowds (CrowdHuman, arXiv 1805.00123).

    A found person counts as right where it overlaps a person that nobody has by an IoU above 0.5;
    else it does not count where more than half of it lies in an ignored region.

    Returns:
        `crowd_AP50`: the area below precision over recall, in trapezoids from the first found
        person to the last, as the published evaluation computes it.
        `crowd_mMR`: MR^-2, the geometric mean of the miss rates at nine numbers of false positives
        per image from 0.01 to 1 (Dollar et al., TPAMI 2012); less is better.
        `crowd_recall`: the share of people that were found at all.

    Raises:
        InputError: No image has an annotated person.
    """
    num_truths = sum(len(image.truths) for image in images)
    if not num_truths:
        raise InputError("Crowds are measured against annotated people. Received: none")
    right, wrong = _ranked(images)
    if not len(right):
        return {"crowd_AP50": 0.0, "crowd_mMR": 1.0, "crowd_recall": 0.0}
    recall, precision = right / num_truths, right / (right + wrong)
    heights = (precision[1:] + precision[:-1]) / 2
    return {
        "crowd_AP50": float((np.diff(recall) * heights).sum()),
        "crowd_mMR": _log_average(1.0 - recall, wrong / len(images)),
        "crowd_recall": float(recall[-1]),
    }


def _ranked(images: Sequence[CrowdImage]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """How many of the surest found people are right, and wrong, over all images; each (P,)."""
    scores: list[float] = []
    outcomes: list[int] = []
    for image in images:
        order = np.argsort(-np.asarray(image.scores, np.float64), kind="stable")
        truths, ignored, found = (
            _cut(boxes, image.size) for boxes in (image.truths, image.ignored, image.bboxes)
        )
        outcomes += match_boxes(truths, ignored, found[order])
        scores += [image.scores[index] for index in order]
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    ranked = np.asarray(outcomes, np.int64)[order]
    ranked = ranked[ranked >= 0]
    return (ranked == 1).cumsum(), (ranked == 0).cumsum()


def _cut(boxes: Sequence[Sequence[float]], size: Sequence[int] | None) -> npt.NDArray[Any]:
    array = np.asarray(boxes, np.float64).reshape(-1, 4)
    if size is None:
        return array
    height, width = size
    low = array[:, :2].clip(0, (width - 1, height - 1))
    return np.concatenate([low, array[:, 2:].clip(0, (width, height))], axis=1)


def _log_average(missed: npt.NDArray[Any], per_image: npt.NDArray[Any]) -> float:
    """The miss rate where each reference is first reached, or the last one where it is not."""
    places = np.searchsorted(per_image, _REFERENCES).clip(max=len(missed) - 1)
    with np.errstate(divide="ignore"):  # nobody missed is a rate of 0
        return float(np.exp(np.log(missed[places]).mean()))
