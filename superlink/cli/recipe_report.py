"""The report before training: what each stage trains, takes, holds and writes."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..diagnosis.memory import RecipeMemory, StageMemory
from ..diagnosis.recipes import RecipeCheck, StageSteps, plan_recipe
from ..diagnosis.samples import StageSamples
from ..diagnosis.units import size_text
from ..registry import Registry
from ..training import Recipe

__all__ = ["print_plan", "print_report"]

_MANY = 100
"""Passes from which on no fraction of one is told."""
_NOT_MEASURED = (
    "What is trained and held is not told: this model must be loaded to be measured. "
    "superlink recipe validate does."
)


def print_plan(recipe: Recipe, registry: Registry, devices: int, console: Console) -> None:
    """Print what can be told of a run without opening its data or loading weights."""
    print_report(plan_recipe(recipe, registry, devices), console)


def print_report(found: RecipeCheck, console: Console) -> None:
    """Print what is known of a recipe without problems."""
    samples = {stage.name: stage for stage in found.samples}
    memory = {} if found.memory is None else {stage.name: stage for stage in found.memory.stages}
    for steps in found.steps:
        console.print(Text(f"\n{_heading(steps)}", "bold"), soft_wrap=True)
        if steps.name in memory:
            console.print(_modules(memory[steps.name]))
            console.print(Text(_sizes(memory[steps.name])), soft_wrap=True)
        if steps.name in samples:
            console.print(Text(_reads(samples[steps.name])), soft_wrap=True)
    last = _NOT_MEASURED if found.memory is None else _sum(found.memory)
    console.print(Text(f"\n{last}"), soft_wrap=True)


def _heading(steps: StageSteps) -> str:
    devices = "1 device" if steps.devices == 1 else f"{steps.devices} devices"
    forwards = "1 forward" if steps.forwards == 1 else f"{steps.forwards} forwards"
    dealt = f"{devices} x {forwards} of {steps.forward_size}"
    return f"Stage {steps.name}: {steps.steps:,} steps of {steps.batch_size:,} samples ({dealt})"


def _modules(stage: StageMemory) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for header in ("module", "parameters", "learning rate"):
        table.add_column(header, justify="left" if header == "module" else "right")
    for module in stage.modules:
        frozen = not module.learning_rate
        rate = "frozen" if frozen else f"{module.learning_rate:g}"
        cells = (module.path, f"{module.parameters:,}", rate)
        table.add_row(*(Text(cell, "dim" if frozen else "") for cell in cells))
    return table


def _sizes(stage: StageMemory) -> str:
    number = sum(module.parameters for module in stage.modules)
    trained = sum(module.parameters for module in stage.modules if module.learning_rate)
    return (
        f"{trained:,} of {number:,} parameters are trained. Memory {size_text(stage.total_bytes)} "
        f"and activations; the checkpoint at the end {size_text(stage.checkpoint_bytes)}."
    )


def _reads(stage: StageSamples) -> str:
    told = f"About {stage.tokens_per_step:,} tokens a step."
    passes = [
        f"{name} {number:.3g}" if number < _MANY else f"{name} {number:,.0f}"
        for name, number in stage.epochs.items()
        if stage.records[name] > 1
    ]
    if passes:
        told += f" Passes over the data: {', '.join(passes)}."
    # One record that is gone through thousands of times is no set, but what samples are drawn of.
    if drawn := [name for name in stage.epochs if stage.records[name] == 1]:
        told += f" Made anew of one record for each sample: {', '.join(drawn)}."
    return told


def _sum(memory: RecipeMemory) -> str:
    loaded = "" if not memory.weights_loaded else " The backbone had to be loaded to be measured."
    return f"A run of {memory.name} writes up to {size_text(memory.disk_bytes)}.{loaded}"
