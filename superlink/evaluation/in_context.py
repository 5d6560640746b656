"""In-context segmentation: how much of all that the examples have in common is found?"""

from __future__ import annotations

from .grounding import GroundingEvaluator

__all__ = ["InContextEvaluator"]


class InContextEvaluator(GroundingEvaluator):
    """As `GroundingEvaluator`, but all instances from a score on are the answer together.

    Args:
        threshold: Instances with a lower score are no answer.
        merge: Whether all instances together are the answer; else the best one is.

    Raises:
        ConfigError: `threshold` is not between 0 and 1.
    """

    def __init__(self, *, threshold: float = 0.3, merge: bool = True) -> None:
        super().__init__(threshold=threshold, merge=merge)
