"""`superlink demo`: from nothing to a trained model and a report, in minutes."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from .output import quiet_libraries, stderr, stdout

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="Folder for the model and the report.")] = Path(
        "demo"
    ),
    seed: Annotated[int, typer.Option(min=0, help="Seed of weights and training data.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch.")] = 1,
    num_scenes: Annotated[int, typer.Option(min=1, help="Validation scenes of each kind.")] = 150,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change the recipe: stages.1.steps=100."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the metrics as JSON, and nothing else.")
    ] = False,
) -> None:
    """Train a tiny model on built-in scenes, measure it, and write a report.

    Nothing is downloaded. A run that was stopped goes on where it was.
    """
    quiet_libraries(threads)
    from ..demo import run_demo  # here, as it imports all that training needs

    command = ["superlink", "demo", "--output", str(output), "--seed", str(seed)]
    command += ["--threads", str(threads)] if threads != 1 else []
    command += ["--num-scenes", str(num_scenes)] if num_scenes != 150 else []
    command += [part for change in changes or () for part in ("--set", change)]
    result = run_demo(
        output,
        seed=seed,
        num_scenes=num_scenes,
        overrides=changes or (),
        command=shlex.join(command),
        progress=not as_json,
    )
    if as_json:
        typer.echo(json.dumps(result.metrics, indent=2))
        return
    table = Table("metric", "value", box=None, pad_edge=False)
    for name, value in result.metrics.items():
        table.add_row(name, f"{value:.3f}")
    stdout.print(table)
    stderr.print(f"\nmodel   {result.model}\ncard    {result.card}\nreport  {result.report}")
