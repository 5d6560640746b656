"""A detector that the demo trains itself, in minutes, and measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from ..evaluation import DetectionEvaluator, ResultCard, TaskSamples, evaluate
from ..model import SuperLinkModel
from ..training import Recipe, TrainingResult, load_recipe, train
from .modes import Mode
from .shipped import Shown, show_mode

__all__ = ["DEMO_RECIPE", "Trained", "train_here"]

DEMO_RECIPE = Path(str(files(__package__).joinpath("recipe.yaml")))
"""The recipe of the demo; copy it to train on your own data."""
_MODE = Mode("trained", "detection", ())
_NUM_SHOWN = 8
_NOTES = (
    "Validation scenes have other photographs as backgrounds than training scenes.",
    "Without a suffix, their objects are the same drawings as in training, at other sizes, places "
    "and angles. `held_out_drawings`: the same classes in drawings that training never showed; "
    "only persons, every fifth object, are figures of one kind in both, posed anew each time.",
    "`generated`: the LLM wrote the routing tokens itself. `forced`: the answer was given.",
)


@dataclass(frozen=True)
class Trained:
    """What training left behind."""

    recipe: Recipe
    """What was done."""
    result: TrainingResult
    """How it went."""
    card: ResultCard
    """What the model is worth."""
    shown: list[Shown]
    """What it answers."""


def train_here(
    output: Path,
    *,
    seed: int,
    num_scenes: int,
    overrides: Sequence[str],
    command: str,
    progress: bool,
) -> Trained:
    """Train the demo's recipe into `output`, measure the model, and write its card."""
    recipe = load_recipe(DEMO_RECIPE, [*overrides, f"seed={seed}"])
    result = train(recipe, output, progress=progress)
    metrics: dict[str, float] = {}
    for suffix, samples in _MODE.validation(num_scenes):
        metrics |= _measure(result.model, samples, suffix, progress=progress)
    card = ResultCard("demo", command, seed, result.cpu_minutes, metrics, _NOTES)
    card.write(output)
    return Trained(recipe, result, card, show_mode(result.model, _MODE, _NUM_SHOWN))


def _measure(
    model: SuperLinkModel, samples: TaskSamples, suffix: str, *, progress: bool
) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for routing in ("generated", "forced"):
        found = evaluate(model, samples, DetectionEvaluator(), routing, progress=progress).metrics
        for name in ("box_AP50", "box_AP"):
            metrics[f"detection/{name}/{routing}{suffix}"] = found[name]
        if routing == "generated":
            for name in ("list_exact", "routing_recall", "routing_precision"):
                metrics[f"routing/{name.removeprefix('routing_')}{suffix}"] = found[name]
    return metrics
