"""`superlink train`: run a recipe."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .output import libraries_on_stderr, quiet_libraries, stderr

if TYPE_CHECKING:  # imports torch
    from ..training import TrainingResult

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="YAML that names model, data and stages.")],
    output: Annotated[
        Path | None, typer.Option(help="Folder of the run. [default: runs/NAME]")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change the recipe: stages.0.steps=10."),
    ] = None,
    half: Annotated[
        bool, typer.Option("--half", help="Store the trained model in 16 bits: half the disk.")
    ] = False,
    report_to: Annotated[
        list[str] | None,
        typer.Option(help="Also log to this logger of transformers: tensorboard."),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch.")] = 1,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the outcome as JSON, and nothing else.")
    ] = False,
) -> None:
    """Train a recipe; a run that was stopped goes on where it was.

    First it says what each stage trains, takes and holds; `superlink recipe validate` says so
    without training. The trained model is in the folder `model` of the run. Examples:

    superlink train recipe.yaml --output runs/first --set stages.0.steps=100

    superlink train recipe.yaml --report-to tensorboard

    accelerate launch --num_processes 2 -m superlink train recipe.yaml
    """
    quiet_libraries(threads)
    from ..registry import default_registry
    from ..training import load_recipe  # here, as training imports all that it needs
    from ..training import train as run
    from .recipe_report import print_plan

    loaded = load_recipe(recipe, changes or (), default_registry())
    folder = output or Path("runs") / loaded.name
    speaks = os.environ.get("RANK", "0") == "0"  # of several processes, one
    with libraries_on_stderr():
        if speaks and not as_json:
            print_plan(loaded, default_registry(), int(os.environ.get("WORLD_SIZE", "1")), stderr)
        result = run(
            loaded, folder, half=half, progress=not as_json, report_to=tuple(report_to or ())
        )
    if speaks:
        _tell(result, as_json)


def _tell(result: TrainingResult, as_json: bool) -> None:
    if as_json:
        outcome = {
            "model": str(result.folder),
            "cpu_minutes": result.cpu_minutes,
            "losses": [entry["loss"] for entry in result.history if "loss" in entry],
            "chat_losses": dict(result.chat_losses),
        }
        typer.echo(json.dumps(outcome, indent=2))
        return
    stderr.print(f"model   {result.folder}   ({result.cpu_minutes:.1f} CPU-minutes)")
    if result.chat_losses:
        told = "   ".join(f"{name} {value:.3f}" for name, value in result.chat_losses.items())
        stderr.print(f"chat    {told}   (nats per token of plain text)", highlight=False)
