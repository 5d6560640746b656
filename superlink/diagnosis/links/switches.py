"""A model with the switches of the stages that trained it, so that gradients flow as they did."""

from __future__ import annotations

from collections.abc import Iterator

from ...linked import LinkedModel
from ...training import Recipe
from ...training.parameters import learning_rate_of
from .finding import Finding
from .run import ROWS

__all__ = ["apply_switches", "causes", "untrained_findings"]


def apply_switches(model: LinkedModel, recipe: Recipe) -> None:
    """Let those parameters take gradients that any stage trains, and let each loss reach what it
    reached in any stage."""
    for name, parameter in model.named_parameters():
        rates = (learning_rate_of(name, stage) for stage in recipe.stages)
        parameter.requires_grad_(parameter.requires_grad and max(rates) > 0)
    joint = [stage for stage in recipe.stages if stage.run_decoders] or recipe.stages
    model.stop_gradient = all(stage.stop_gradient for stage in joint)
    model.lm_weight = max(stage.lm_weight for stage in recipe.stages)


def causes(recipe: Recipe) -> list[str]:
    """What a recipe says that keeps routing tokens from being learned."""
    found = []
    if max(stage.lm_weight for stage in recipe.stages) == 0:
        found.append("`lm_weight` is 0 in every stage: nothing teaches the LLM to write.")
    if recipe.start is None and _never(recipe, ROWS):
        found.append(f"`{ROWS}` has the rate 0 in every stage: the rows stay as they began.")
    return found


def untrained_findings(model: LinkedModel, recipe: Recipe) -> Iterator[Finding]:
    """One for each part of the link that no stage trains, where it did not start from elsewhere."""
    if recipe.start is not None:
        return
    paths = [name for name, _ in model.named_parameters() if name.startswith(("queries.", "conn"))]
    untrained = [path for path in paths if _never(recipe, path)]
    if untrained:
        yield Finding(
            check="recipe",
            subject=recipe.name,
            status="warning",
            measured=f"{len(untrained)} of {len(paths)} parameters of the link are never trained",
            bound="all are",
            symptom=f"No stage trains {untrained[0]}, and nothing else gave it a value.",
            advice="Raise its rate in `learning_rates`, or give a `start` that holds it.",
            anchor="the-loss-does-not-fall",
            figures={"untrained": float(len(untrained)), "parameters": float(len(paths))},
        )


def _never(recipe: Recipe, path: str) -> bool:
    return all(learning_rate_of(path, stage) == 0 for stage in recipe.stages)
