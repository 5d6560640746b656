"""What a stage logs beside its losses: gradient norms by part, and how fast it reads."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn.utils import get_total_norm

from ..link.processing import IGNORE
from ..linked import LinkedModel

__all__ = ["RATES", "Throughput", "part_norms", "trained_parts"]

RATES = ("samples_per_second", "supervised_tokens_per_second", "tokens_per_second")
"""The keys under which a stage logs its throughput."""


def trained_parts(model: LinkedModel) -> dict[str, list[nn.Parameter]]:
    """The parameters that take gradients, by part: `backbone`, `queries` (with the rows of the
    routing tokens), `connectors`, `regions`, `decoder NAME`. A part that is frozen is missing."""
    parts: dict[str, nn.Module | None] = {
        "backbone": model.backbone,
        "queries": model.queries,
        "connectors": model.connectors,
        "regions": model.regions,
        **{f"decoder {name}": bound.decoder for name, bound in model.bound.items()},
    }
    found = {
        name: [p for p in part.parameters() if p.requires_grad]
        for name, part in parts.items()
        if part is not None
    }
    return {name: parameters for name, parameters in found.items() if parameters}


def part_norms(model: LinkedModel) -> dict[str, float]:
    """The norm of the gradient of each trained part, as it stands in `grad` now.

    Sharded gradients are put together: all processes must call. A part that nothing reached has 0.
    Where no parameter has a gradient, as with engines that keep them elsewhere, there is no norm.
    """
    gradients = {
        name: [p.grad for p in parameters if p.grad is not None]
        for name, parameters in trained_parts(model).items()
    }
    if not any(gradients.values()):
        return {}
    return {name: _norm(some) for name, some in gradients.items()}


def _norm(gradients: Iterable[Tensor]) -> float:
    """The norm of tensors that may be sharded, on different meshes, or neither."""
    groups: dict[Any, list[Tensor]] = {}
    for gradient in gradients:
        mesh = gradient.device_mesh if isinstance(gradient, DTensor) else None
        groups.setdefault(mesh, []).append(gradient)
    norms = [get_total_norm(some) for some in groups.values()]
    whole = [norm.full_tensor() if isinstance(norm, DTensor) else norm for norm in norms]
    return math.hypot(*map(float, whole))


class Throughput:
    """Counts what a stage reads, and tells how much that was per second since it was last asked.

    Args:
        clock: Gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self.start()

    def start(self) -> None:
        """Begin to count, from nothing and from now."""
        self._since = self._clock()
        self._counts: Tensor | None = None  # (3,) on the device of the batches: no wait for it

    def add(self, batch: Mapping[str, Any]) -> None:
        """Count a batch of the processor; rows that teach nothing, as stand-ins, do not count."""
        labels, mask = batch["labels"], batch["inputs"]["attention_mask"]
        supervised = (labels != IGNORE).sum(1)  # (B,)
        taught = supervised > 0
        tokens = mask.to(labels.device).sum(1) * taught
        counts = torch.stack([taught.sum(), supervised.sum(), tokens.sum()])
        self._counts = counts if self._counts is None else self._counts + counts

    def read(self, total: Callable[[Tensor], Tensor] | None = None) -> dict[str, float]:
        """The values of `RATES` since the last time, and begin anew; nothing before any batch.

        Args:
            total: Sums counts (3,) over all processes; None where there is one.
        """
        seconds, counts = self._clock() - self._since, self._counts
        self.start()
        if counts is None or seconds <= 0:
            return {}
        sums = (counts if total is None else total(counts)).tolist()
        return {name: float(value) / seconds for name, value in zip(RATES, sums, strict=True)}
