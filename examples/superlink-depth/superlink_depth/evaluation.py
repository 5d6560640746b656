"""How good replies are: do the masks fit, and did the LLM ask for the right ones?"""

from collections.abc import Sequence

from superlink import Reply, Sample
from superlink.evaluation import Evaluator, Row
from torch import Tensor


class DepthEvaluator(Evaluator):
    """Measures each reply, then all of them together."""

    def measure(self, sample: Sample, reply: Reply) -> Row:
        """How well the masks of one reply fit, and whether it asked for the right ones."""
        (target,) = sample.targets
        found: dict[str, Tensor] = {}
        for prediction in reply.predictions:
            found |= dict(zip(prediction.phrases, prediction.masks, strict=True))
        overlaps = [
            overlap(found[name], wanted) if name in found else 0.0
            for name, wanted in zip(target["names"], target["masks"], strict=True)
            if wanted.any()
        ]
        phrases = tuple(route.phrase for route in reply.routes)
        return {"overlaps": overlaps, "exact": phrases == target["names"]}

    def summarize(self, rows: Sequence[Row]) -> dict[str, float]:
        """`IoU` where there is something to find; `routes_exact`, the share of right answers."""
        overlaps = [value for row in rows for value in row["overlaps"]]
        return {"IoU": mean(overlaps), "routes_exact": mean([row["exact"] for row in rows])}

    def quality(self, row: Row) -> float:
        """What result cards choose their best and worst replies by."""
        return mean(row["overlaps"])


def overlap(values: Tensor, mask: Tensor) -> float:
    """Intersection over union of a mask and of the pixels that `values` puts above one half."""
    found = values > 0.5
    return float((found & mask).sum() / (found | mask).sum())


def mean(values: list[float]) -> float:
    """The mean, 0 of nothing."""
    return sum(values) / max(1, len(values))
