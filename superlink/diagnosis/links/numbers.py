"""Whether a model computes with numbers at all: what comes before every other check."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor, nn

from ...interfaces import LossTerm, Sample
from .finding import Finding

__all__ = ["BrokenLosses", "broken_weights"]


def broken_weights(model: nn.Module) -> list[Finding]:
    """One finding where weights are no numbers, and none where all are."""
    weights = dict(model.named_parameters())
    broken = [name for name, weight in weights.items() if not weight.isfinite().all()]
    if not broken:
        return []
    return [
        Finding(
            check="weights",
            subject="all",
            status="problem",
            measured=f"{len(broken)} of {len(weights)} are not finite",
            bound="finite",
            symptom=f"Weights are no numbers, the first of them {broken[0]}.",
            advice="Go back to a checkpoint from before, or begin again with lower rates.",
            anchor="the-loss-does-not-fall",
            figures={"broken": float(len(broken)), "weights": float(len(weights))},
        )
    ]


class BrokenLosses:
    """Collects, over batches, the losses that are no numbers."""

    def __init__(self) -> None:
        self.names: dict[str, None] = {}
        self._keys: list[str] = []
        self._found = self._batches = 0

    def add(self, losses: Mapping[str, LossTerm], samples: Sequence[Sample]) -> bool:
        """Take the losses of a batch of samples; whether one is no number."""
        broken = [name for name, (value, _) in losses.items() if not _is_finite(value)]
        self.names |= dict.fromkeys(broken)
        self._keys += [sample.key for sample in samples if broken]
        self._found += bool(broken)
        self._batches += 1
        return bool(broken)

    @property
    def everywhere(self) -> bool:
        """Whether each batch has one."""
        return 0 < self._found == self._batches

    def findings(self) -> Iterator[Finding]:
        """One where a loss is no number, and none where all are."""
        if not self.names:
            return
        yield Finding(
            check="losses",
            subject="of the diagnosis",
            status="problem",
            measured=f"not finite in {self._found} of {self._batches} batches",
            bound="finite",
            symptom=(
                f"These losses are no numbers: {', '.join(self.names)}. "
                f"Samples: {', '.join(self._keys[:4])}."
            ),
            advice=(
                "Begin again from before with lower rates or a longer warm-up."
                if self.everywhere
                else "Look at these samples: `superlink data inspect`."
            ),
            anchor="the-loss-does-not-fall",
            figures={"broken": float(self._found), "batches": float(self._batches)},
        )


def _is_finite(value: Tensor) -> bool:
    return bool(value.isfinite().all())
