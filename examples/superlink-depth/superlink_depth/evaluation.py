"""How good replies are: do the masks fit, and did the LLM ask for the right ones?"""

from superlink import Reply, Sample
from torch import Tensor


class DepthEvaluator:
    """Replies go in one by one, numbers come out."""

    def __init__(self) -> None:
        self.overlaps: list[float] = []
        self.exact: list[float] = []

    def update(self, sample: Sample, reply: Reply) -> None:
        """Take in a sample with its target, and the reply to it."""
        (target,) = sample.targets
        found: dict[str, Tensor] = {}
        for prediction in reply.predictions:
            found |= dict(zip(prediction.phrases, prediction.masks, strict=True))
        for name, wanted in zip(target["names"], target["masks"], strict=True):
            if wanted.any():
                self.overlaps.append(overlap(found[name], wanted) if name in found else 0.0)
        phrases = tuple(route.phrase for route in reply.routes)
        self.exact.append(float(phrases == target["names"]))

    def compute(self) -> dict[str, float]:
        """`IoU` where there is something to find; `routes_exact`, the share of right answers."""
        return {"IoU": mean(self.overlaps), "routes_exact": mean(self.exact)}


def overlap(values: Tensor, mask: Tensor) -> float:
    """Intersection over union of a mask and of the pixels that `values` puts above one half."""
    found = values > 0.5
    return float((found & mask).sum() / (found | mask).sum())


def mean(values: list[float]) -> float:
    """The mean, 0 of nothing."""
    return sum(values) / max(1, len(values))
