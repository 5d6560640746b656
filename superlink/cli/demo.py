"""`superlink demo`: what a linked model does, as a report with pictures."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from ..errors import ConfigError
from .output import quiet_libraries, stderr, stdout

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="Folder for the model and the report.")] = Path(
        "demo"
    ),
    train: Annotated[
        bool, typer.Option("--train", help="Train a detector here as well: some minutes.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of what is trained.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch.")] = 1,
    num_scenes: Annotated[int, typer.Option(min=1, help="Validation scenes of each kind.")] = 100,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change what is trained: stages.1.steps=100."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the metrics as JSON, and nothing else.")
    ] = False,
) -> None:
    """Ask the small model that superlink ships, measure it, and write a picture report.

    It finds, points, counts, segments and describes. With --train, a detector is trained from
    nothing beside it; that goes on where it was stopped. Nothing is downloaded.
    """
    if changes and not train:
        raise ConfigError("--set changes what is trained. Received: no --train")
    quiet_libraries(threads)
    from ..demo import run_demo  # here, as it imports all that training needs

    command = ["superlink", "demo", "--output", str(output)]
    command += ["--train", "--seed", str(seed)] if train else []
    command += ["--threads", str(threads)] if threads != 1 else []
    command += ["--num-scenes", str(num_scenes)] if num_scenes != 100 else []
    command += [part for change in changes or () for part in ("--set", change)]
    result = run_demo(
        output,
        train=train,
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
