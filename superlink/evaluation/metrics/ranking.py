"""How well scores rank what is right above what is wrong."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...errors import InputError

__all__ = ["ranking_precision"]


def ranking_precision(scores: Sequence[float], right: Sequence[bool]) -> float:
    """Average precision: the mean, over all that is right, of the share of right ones among those
    with as high a score. The order of equal scores does not matter.

    Args:
        scores: N scores.
        right: Which of the N are right, one at least.

    Raises:
        InputError: Nothing is right, or there are not as many scores.
    """
    if len(scores) != len(right) or not any(right):
        raise InputError(
            "A ranking needs a score for each item, and one item that is right. Received: "
            f"{len(scores)} scores, {sum(right)} of {len(right)} items right"
        )
    values, wanted = np.asarray(scores, np.float64), np.asarray(right, bool)
    above = [values >= value for value in values[wanted]]  # of each that is right, (N,)
    return float(np.mean([wanted[among].mean() for among in above]))
