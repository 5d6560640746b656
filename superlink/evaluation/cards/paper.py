"""Figures of the VisionLLM v2 paper, and what keeps a measured figure from being compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from ...errors import ConfigError
from ...registry.suggestions import suggest

__all__ = ["PaperFigure", "benchmark_names", "check_benchmark", "compare"]


@dataclass(frozen=True)
class PaperFigure:
    """One figure of the paper and its counterpart."""

    metric: str
    """`task/metric/routing`."""
    paper: float
    """What the paper reports, as a share."""
    measured: float
    """What was measured here."""
    differences: tuple[str, ...]
    """What was done otherwise than in the paper, as far as it is known here."""

    def sentence(self) -> str:
        """The figure in a line, for a terminal."""
        told = "; ".join(self.differences) or "no difference of protocol is known"
        return f"{self.metric}: {self.measured:.3f}, in the paper {self.paper:.3f} ({told})"


def benchmark_names() -> tuple[str, ...]:
    """The sets that the paper reports on and that superlink measures."""
    return tuple(_benchmarks())


def check_benchmark(name: str) -> None:
    """Raise where the paper has no figures on a set.

    Raises:
        ConfigError: It is none of `benchmark_names()`.
    """
    if name not in _benchmarks():
        raise ConfigError(
            f"The paper's figures are of {len(_benchmarks())} sets. "
            f"Received: {name!r}. {suggest(name, _benchmarks())}"
        )


def compare(
    benchmark: str,
    metrics: Mapping[str, float],
    *,
    num_samples: int,
    num_left_out: int = 0,
    absent_classes: int | str | None = None,
) -> tuple[PaperFigure, ...]:
    """Put the paper's figures beside measured ones.

    The paper measures decoders with the answer given, and asks for all classes of a set.

    Args:
        benchmark: One of `benchmark_names()`; that the samples are of this set is the caller's
            word.
        metrics: `task/metric/routing` to value.
        num_samples: How many samples were measured.
        num_left_out: How many could not be read.
        absent_classes: How many classes that an image lacks were asked for beside those that it
            shows; `all` or None asks for every class of the set.

    Raises:
        ConfigError: The paper has no such benchmark.
    """
    check_benchmark(benchmark)
    entry = _benchmarks()[benchmark]
    shared = []
    if entry["samples"] is None:
        shared.append(f"{num_samples:,} samples, and how many the set has is not known here")
    elif entry["samples"] != num_samples:
        shared.append(f"{num_samples:,} of the set's {entry['samples']:,} samples")
    if num_left_out:
        shared.append(f"{num_left_out:,} samples could not be read")
    if absent_classes not in (None, "all"):
        shared.append(f"{absent_classes} absent classes were asked for, the paper asks for all")
    figures = []
    for name, value in metrics.items():
        stem, _, routing = name.rpartition("/")
        if stem in entry["figures"]:
            given = [] if routing == "forced" else ["the LLM wrote the answer, the paper gives it"]
            figures.append(PaperFigure(name, entry["figures"][stem], value, (*given, *shared)))
    return tuple(figures)


@cache
def _benchmarks() -> dict[str, Any]:
    content = json.loads((files(__package__) / "paper.json").read_text("utf-8"))
    found: dict[str, Any] = content["benchmarks"]
    return found
