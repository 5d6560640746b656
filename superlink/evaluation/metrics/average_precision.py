"""COCO's average precision of boxes, masks and keypoints, as pycocotools computes it."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ...errors import InputError, MissingDependencyError

__all__ = ["COCO_SIGMAS", "Instance", "Kind", "average_precision", "mean_over_sets"]

Kind = Literal["box", "mask", "OKS"]
"""What is compared: boxes or masks by their IoU, keypoints by their similarity (OKS)."""

COCO_SIGMAS = tuple(
    value / 1000 for value in (26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89)
)
"""How far annotators of COCO differ in its 17 keypoints, relative to the size of the person."""

_TYPES = {"box": "bbox", "mask": "segm", "OKS": "keypoints"}
_REGIONS = {
    **{"AP": 0, "AP50": 1, "AP75": 2, "AP_small": 3, "AP_medium": 4, "AP_large": 5},
    "AR100": 8,
}
_STATS = {
    "box": _REGIONS,
    "mask": _REGIONS,
    "OKS": {"AP": 0, "AP50": 1, "AP75": 2, "AP_medium": 3, "AP_large": 4, "AR20": 5},
}
"""Where pycocotools keeps each metric."""


@dataclass(frozen=True)
class Instance:
    """One annotated or predicted instance."""

    image: int
    """Index of its image."""
    category: str
    """Its class."""
    bbox: Sequence[float]
    """(x1, y1, x2, y2) in pixels."""
    score: float = 1.0
    """Confidence of a prediction."""
    area: float | None = None
    """Of a truth, as its data set states it. None takes that of its mask or of its box, whichever
    is compared; of keypoints that of the box around them."""
    ignored: bool = False
    """Whether a truth is a crowd: neither right nor wrong to find, and found any number of
    times."""
    mask: Mapping[str, Any] | None = None
    """Compressed run lengths of COCO: `size`, (H, W), and `counts`."""
    keypoints: Sequence[Sequence[float]] | None = None
    """K times x, y and visibility; 0 is not labelled."""
    num_keypoints: int | None = None
    """How many keypoints of a truth make it count, where keypoints are compared: with 0 it is
    neither right nor wrong to find it. None: those that are labelled."""


def average_precision(
    truths: Sequence[Instance],
    predictions: Sequence[Instance],
    num_images: int,
    kind: Kind = "box",
    *,
    sigmas: Sequence[float] = COCO_SIGMAS,
) -> dict[str, float]:
    """Mean over the classes that `truths` holds; at most 100 predictions an image and class, or 20
    where keypoints are compared.

    Args:
        truths: What is annotated. Where masks or keypoints are compared, each has them.
        predictions: What was found; classes that no truth has are left out.
        num_images: How many images there are.
        kind: What is compared.
        sigmas: (K,) of the keypoints.

    Returns:
        From 0 to 1, with `kind` and an underscore before each name: `AP` (IoU .50 to .95), `AP50`,
        `AP75`, `AP_small` (below 32 x 32 pixels), `AP_medium`, `AP_large` (above 96 x 96), and the
        recall `AR100`; keypoints have no small ones, and `AR20`. A size without a truth is left
        out.

    Raises:
        InputError: Without any truth that counts there is nothing to measure.
        MissingDependencyError: pycocotools is not installed.
    """
    coco_class, eval_class, area_of = _pycocotools()
    if all(truth.ignored for truth in truths):
        raise InputError("Average precision needs at least one annotated object. Received: none")
    ids = {name: number for number, name in enumerate(sorted({t.category for t in truths}), 1)}
    known = [item for item in predictions if item.category in ids]
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of numpy, in pycocotools 2.0.11
        truth, found = (
            _coco(coco_class, [_annotation(i, ids, kind, area_of) for i in items], ids, num_images)
            for items in (truths, known)
        )
        evaluation = eval_class(truth, found, _TYPES[kind])
        evaluation.params.kpt_oks_sigmas = np.array(sigmas)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    stats = {name: float(evaluation.stats[place]) for name, place in _STATS[kind].items()}
    # pycocotools says -1 where there is nothing to find.
    return {f"{kind}_{name}": value for name, value in stats.items() if value >= 0}


def mean_over_sets(found: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Each metric as the mean over the sets that have it, and every set's AP behind its name.

    Args:
        found: Metrics by the name of their set.

    Returns:
        `box_AP` over all sets, and `box_AP/<set>` of each; likewise the others, of which a set
        shows the AP only.
    """
    names = dict.fromkeys(name for metrics in found.values() for name in metrics)
    means = {
        name: float(np.mean([metrics[name] for metrics in found.values() if name in metrics]))
        for name in names
    }
    shares = {
        f"{name}/{part}": metrics[name]
        for name in names
        if name.endswith("_AP")
        for part, metrics in found.items()
        if name in metrics
    }
    return {**means, **shares}


def _coco(
    coco_class: Any, annotations: list[dict[str, Any]], ids: Mapping[str, int], num_images: int
) -> Any:
    coco = coco_class()
    # pycocotools takes id 0 for "no match": ids of annotations begin with 1.
    coco.dataset = {
        "info": {},
        # A size is asked for with masks, and not used, as they are run lengths.
        "images": [{"id": index, "height": 0, "width": 0} for index in range(num_images)],
        "categories": [{"id": number, "name": name} for name, number in ids.items()],
        "annotations": [{**entry, "id": number} for number, entry in enumerate(annotations, 1)],
    }
    coco.createIndex()
    return coco


def _annotation(item: Instance, ids: Mapping[str, int], kind: Kind, area_of: Any) -> dict[str, Any]:
    x1, y1, x2, y2 = item.bbox
    entry = {
        "image_id": item.image,
        "category_id": ids[item.category],
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": (x2 - x1) * (y2 - y1),
        "score": item.score,
        "iscrowd": int(item.ignored),
    }
    if kind == "mask":
        entry |= {"segmentation": item.mask, "area": float(area_of(item.mask))}
    if kind == "OKS":
        points = np.asarray(item.keypoints, np.float64)  # (K, 3)
        width, height = points[:, :2].max(axis=0) - points[:, :2].min(axis=0)
        entry |= {"keypoints": points.flatten().tolist(), "area": float(width * height)}
        labelled = int((points[:, 2] > 0).sum())
        entry["num_keypoints"] = labelled if item.num_keypoints is None else item.num_keypoints
    return entry if item.area is None else {**entry, "area": item.area}


def _pycocotools() -> tuple[Any, Any, Any]:
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
        from pycocotools.mask import area
    except ImportError as error:
        raise MissingDependencyError(
            "Average precision is computed by pycocotools, which is not installed. "
            "Run: pip install 'superlink[eval]'"
        ) from error
    return COCO, COCOeval, area
