"""How well a soft map shows the foreground of an image, as py_sod_metrics computes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError, MissingDependencyError

__all__ = ["salience_metrics", "salience_scores"]


def salience_scores(
    soft: npt.NDArray[np.floating[Any]], truth: npt.NDArray[np.bool_]
) -> dict[str, float]:
    """Compare one map with its truth.

    The map becomes a grey image of 8 bits and is stretched to its full range, as the published
    evaluations of map files do.

    Args:
        soft: (H, W) from 0 to 1.
        truth: (H, W). Where it is empty, `F_weighted` is 0 by definition.

    Returns:
        `S`, the structure measure; `E_mean` and `E_adaptive`, the enhanced alignment over all
        thresholds and at twice the mean; `F_weighted`; `MAE`, of which less is better.

    Raises:
        MissingDependencyError: py_sod_metrics is not installed.
    """
    structure, alignment, weighted, error = (measure() for measure in _measures())
    grey = np.rint(soft * 255.0).clip(0, 255).astype(np.uint8)
    for measure in (structure, alignment, weighted, error):
        measure.step(pred=grey, gt=truth.astype(np.uint8) * 255)
    aligned = alignment.get_results()["em"]
    found = {
        "S": structure.get_results()["sm"],
        "E_mean": aligned["curve"].mean(),
        "E_adaptive": aligned["adp"],
        "F_weighted": weighted.get_results()["wfm"],
        "MAE": error.get_results()["mae"],
    }
    return {name: float(value) for name, value in found.items()}


def salience_metrics(images: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each score over all images.

    Raises:
        InputError: There are no images.
    """
    if not images:
        raise InputError("Salience needs at least one image. Received: none")
    return {name: float(np.mean([image[name] for image in images])) for name in images[0]}


@cache
def _measures() -> tuple[type[Any], ...]:
    try:
        import py_sod_metrics as sod
    except ImportError as error:
        raise MissingDependencyError(
            "Salience is measured by py_sod_metrics, which is not installed. "
            "Run: pip install 'superlink[eval]'"
        ) from error

    class Structure(sod.Smeasure):  # type: ignore[misc]
        """Skips the quadrants that a foreground at the border leaves empty: the mean of nothing is
        a warning, and not a number."""

        def ssim(self, pred: npt.NDArray[Any], gt: npt.NDArray[Any]) -> float:
            return float(super().ssim(pred, gt)) if pred.size else 0.0

    return Structure, sod.Emeasure, sod.WeightedFmeasure, sod.MAE
