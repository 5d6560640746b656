"""`superlink train`: run a recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from .output import quiet_libraries, stderr

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
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch.")] = 1,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the outcome as JSON, and nothing else.")
    ] = False,
) -> None:
    """Train a recipe; a run that was stopped goes on where it was.

    The trained model is in the folder `model` of the run. Example:
    superlink train recipe.yaml --output runs/first --set stages.0.steps=100
    """
    quiet_libraries(threads)
    from ..training import load_recipe  # here, as training imports all that it needs
    from ..training import train as run

    loaded = load_recipe(recipe, changes or ())
    folder = output or Path("runs") / loaded.name
    result = run(loaded, folder, half=half, progress=not as_json)
    losses = [entry["loss"] for entry in result.history if "loss" in entry]
    if as_json:
        outcome = {"model": str(result.folder), "cpu_minutes": result.cpu_minutes, "losses": losses}
        typer.echo(json.dumps(outcome, indent=2))
        return
    stderr.print(f"model   {result.folder}   ({result.cpu_minutes:.1f} CPU-minutes)")
