"""CPU times of parts that take turns, and ratios of them that hold on a busy machine."""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from superlink.evaluation.cards.surroundings import hardware, versions

__all__ = ["MIN_PAIRS", "Ratio", "Report", "arguments", "median_interval", "ratio", "take_turns"]

MIN_PAIRS = 20
"""Fewer are good for trying a script out; a bar needs as many."""

Part = Callable[[int], object]
"""One part of a pair; it gets the index of the pair, and does the same work for the same index."""


@dataclass(frozen=True)
class Ratio:
    """The median of the ratios of all pairs, and its 95 % interval."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3f} [{self.low:.3f}, {self.high:.3f}]"


def take_turns(
    parts: Mapping[str, Part],
    num_pairs: int,
    *,
    warm_up: int = 2,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, list[float]]:
    """Run every part once in each pair, in an order that is drawn anew, and time it.

    What slows the machine down for a while slows all parts of a pair. Processor time leaves out
    the time in which other processes had the core.

    Returns:
        For each part its seconds, one for each pair.
    """
    seconds: dict[str, list[float]] = {name: [] for name in parts}
    rng = random.Random(0)
    gc.freeze()  # what is there already need not be searched for garbage again and again
    try:
        for index in range(-warm_up, num_pairs):
            for name in rng.sample(list(parts), len(parts)):
                taken = _timed(parts[name], index % num_pairs, clock)
                if index >= 0:
                    seconds[name].append(taken)
    finally:
        gc.unfreeze()
    return seconds


def _timed(part: Part, index: int, clock: Callable[[], float]) -> float:
    """Seconds of one call; garbage of other parts is collected before, not inside of it."""
    gc.collect()
    gc.disable()
    try:
        started = clock()
        part(index)
        return clock() - started
    finally:
        gc.enable()


def ratio(above: Sequence[Sequence[float]], below: Sequence[Sequence[float]]) -> Ratio:
    """The ratio of the sum of some parts to the sum of others.

    Args:
        above: Seconds of each part in the numerator, one for each pair.
        below: Seconds of each part in the denominator, one for each pair.
    """
    tops, bottoms = zip(*above, strict=True), zip(*below, strict=True)
    return median_interval([sum(a) / sum(b) for a, b in zip(tops, bottoms, strict=True)])


def median_interval(values: Sequence[float], confidence: float = 0.95) -> Ratio:
    """The median of `values` with an interval that assumes nothing about their distribution.

    Each value lies below the true median with probability 1/2, so that the number of those that do
    is binomial; the interval goes from the k-th smallest to the k-th largest value, with the
    largest k that keeps the confidence (Conover, Practical Nonparametric Statistics, section 3.2).

    Raises:
        ValueError: There are too few values for any such interval: below six, with 95 %.
    """
    ordered, number = sorted(values), len(values)
    tail, k = 0.0, 0  # tail: the probability that at most k - 1 values lie below the median
    while k < number and tail + math.comb(number, k) / 2**number <= (1 - confidence) / 2:
        tail += math.comb(number, k) / 2**number
        k += 1
    if k == 0:
        raise ValueError(
            f"An interval of {confidence:.0%} needs more pairs. Received: {number} values"
        )
    return Ratio(statistics.median(ordered), ordered[k - 1], ordered[number - k])


def arguments(description: str, **options: Mapping[str, Any]) -> argparse.Namespace:
    """Read the command line, and hold torch to one thread.

    Args:
        description: What is measured, for `--help`.
        options: Further options of the script, each as arguments of `add_argument`.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--pairs",
        type=int,
        default=MIN_PAIRS,
        metavar="N",
        help=f"interleaved pairs, at least 6; {MIN_PAIRS} or more for a result (default: "
        f"{MIN_PAIRS})",
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="also write the result to a file")
    for name, option in options.items():
        parser.add_argument(f"--{name}", **option)
    chosen = parser.parse_args()
    if chosen.pairs < 6:
        parser.error(f"--pairs must be at least 6, for an interval. Received: {chosen.pairs}")
    torch.set_num_threads(1)
    return chosen


@dataclass(frozen=True)
class Report:
    """What one run of a benchmark says."""

    name: str
    """What was measured."""
    command: str
    """What measures it again."""
    seconds: Mapping[str, Sequence[float]]
    """From `take_turns`."""
    ratios: Mapping[str, Ratio]
    """By what they compare."""
    facts: Mapping[str, Any]
    """What a reader must know beside: sizes, and counts that are exact."""

    def show(self, path: Path | None) -> None:
        """Print the run, and write it to `path` where there is one."""
        lines = [f"{key:36} {value}" for key, value in self.facts.items()]
        lines += [f"{key:36} {value:.1f} ms of CPU" for key, value in self._medians().items()]
        lines += [f"{key:36} {value}" for key, value in self.ratios.items()]
        Console(soft_wrap=True).print("\n".join([self.name, *lines]), markup=False, highlight=False)
        if path is not None:
            path.write_text(json.dumps(self._plain(), indent=2) + "\n", encoding="utf-8")

    def _medians(self) -> dict[str, float]:
        return {name: statistics.median(times) * 1e3 for name, times in self.seconds.items()}

    def _timing(self) -> dict[str, Any]:
        """How times were taken, where there are some."""
        if not self.seconds:
            return {}
        number = len(next(iter(self.seconds.values())))
        return {"pairs": number, "clock": "processor time of the process, one thread"}

    def _plain(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "command": self.command,
            **self._timing(),
            "facts": dict(self.facts),
            "median_ms": {name: round(value, 2) for name, value in self._medians().items()},
            "ratios": {
                name: {key: round(value, 4) for key, value in asdict(found).items()}
                for name, found in self.ratios.items()
            },
            "versions": versions(),
            "hardware": {**hardware(), "load_average": [round(x, 1) for x in os.getloadavg()]},
        }
