"""A plot of metrics by variant: a point for each seed, the mean, and a bar of one deviation."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from ..errors import MissingDependencyError
from ..evaluation.cards import Spread
from ..visualization import PALETTE

__all__ = ["check_plotting", "draw_plot"]


def check_plotting() -> None:
    """Raise where plots cannot be drawn.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise MissingDependencyError(
            "Plots need matplotlib, which is not installed. Run: pip install 'superlink[ablate]'"
        )


def draw_plot(panels: Mapping[str, Mapping[str, Spread]], path: Path) -> None:
    """Draw one panel for each metric.

    Args:
        panels: By metric, its spread by variant.
        path: A PNG file.
    """
    from matplotlib.figure import Figure  # of an extra

    widest = max(map(len, panels.values()))
    size = (max(3.2, 0.9 * widest + 1.2) * len(panels), 3.4)
    figure = Figure(figsize=size, layout="constrained", dpi=150)
    grid = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (metric, measured) in zip(grid, panels.items(), strict=True):
        for place, spread in enumerate(measured.values()):
            color = PALETTE[place % len(PALETTE)]
            axes.errorbar(
                *(place, spread.mean, spread.std or 0),
                **{"fmt": "_", "markersize": 26, "capsize": 5, "color": color, "zorder": 3},
            )
            beside = [place + 0.16] * spread.num_runs
            axes.scatter(beside, spread.values, s=22, color=color, alpha=0.6, linewidths=0)
        labels = [f"{name}\nn = {spread.num_runs}" for name, spread in measured.items()]
        axes.set_xticks(range(len(labels)), labels, fontsize=8)
        axes.set_xlim(-0.6, len(labels) - 0.4)
        axes.set_title(metric, fontsize=9)
        axes.grid(axis="y", alpha=0.3)
    figure.savefig(path)
