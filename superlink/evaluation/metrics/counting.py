"""How far counts are from the true ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...errors import InputError

__all__ = ["counting_metrics"]


def counting_metrics(expected: Sequence[int], found: Sequence[int]) -> dict[str, float]:
    """`MAE` and `RMSE` of the counts, and `exact`, the share of those that are right.

    Raises:
        InputError: There are no counts.
    """
    if not expected:
        raise InputError("Counting needs at least one count. Received: none")
    errors = np.subtract(found, expected)
    return {
        "MAE": float(np.abs(errors).mean()),
        "RMSE": float(np.sqrt(np.square(errors).mean())),
        "exact": float((errors == 0).mean()),
    }
