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
    """What was done otherwise than in the paper; none: the protocol is the same."""


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
    absent_classes: int | str | None = None,
) -> tuple[PaperFigure, ...]:
    """Put the paper's figures beside measured ones.

    The paper measures decoders with the answer given, and asks for all classes of a set.

    Args:
        benchmark: One of `benchmark_names()`; that the samples are of this set is the caller's
            word.
        metrics: `task/metric/routing` to value.
        num_samples: How many samples were measured.
        absent_classes: How many classes that an image lacks were asked for beside those that it
            shows; `all` or None asks for every class of the set.

    Raises:
        ConfigError: The paper has no such benchmark.
    """
    check_benchmark(benchmark)
    entry = _benchmarks()[benchmark]
    shared = []
    if entry["samples"] not in (None, num_samples):
        shared.append(f"{num_samples:,} of the set's {entry['samples']:,} samples")
    if absent_classes not in (None, "all"):
        shared.append(f"{absent_classes} absent classes were asked for, the paper asks for all")
    figures = []
    for name, value in metrics.items():
        stem, _, routing = name.rpartition("/")
        if stem in entry["figures"]:
            given = [] if routing == "forced" else ["the LLM wrote the answer, the paper gives it"]
            figures.append(PaperFigure(name, entry["figures"][stem], value, tuple(given + shared)))
    return tuple(figures)


@cache
def _benchmarks() -> dict[str, Any]:
    content = json.loads((files(__package__) / "paper.json").read_text("utf-8"))
    found: dict[str, Any] = content["benchmarks"]
    return found
