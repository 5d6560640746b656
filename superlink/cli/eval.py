"""`superlink eval`: measure a model on annotated data."""

from __future__ import annotations

import json
import random
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
import yaml
from rich.table import Table

from ..errors import ConfigError, InputError
from .output import quiet_libraries, stderr, stdout

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command()
def evaluate(
    model: Annotated[Path, typer.Argument(help="Checkpoint folder.")],
    task: Annotated[str, typer.Option(help="Name of a task; `superlink plugins` lists them.")],
    data: Annotated[
        str, typer.Option(help="Format of the task's readers, and its file: coco:FILE, scenes.")
    ],
    images: Annotated[Path | None, typer.Option(help="Folder of the images, for a file.")] = None,
    options: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="KEY=VALUE", help="Further argument of the reader."),
    ] = None,
    routing: Annotated[
        Literal["generated", "forced", "both"],
        typer.Option(help="The LLM writes its routes itself, they are given, or both in turn."),
    ] = "both",
    limit: Annotated[int | None, typer.Option(min=1, help="Records to take at most.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Samples answered together.")] = 16,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Tokens to write at most.")] = 256,
    card: Annotated[
        Path | None, typer.Option(help="Folder for a result card, as JSON and Markdown.")
    ] = None,
    device: Annotated[str, typer.Option(help="Where to run, as torch names it: cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch.")] = 1,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the metrics as JSON, and nothing else.")
    ] = False,
) -> None:
    """Measure a model on annotated data.

    Example: superlink eval demo/model --task detection --data scenes --option split=val --limit 50
    """
    quiet_libraries(threads)
    from ..build import load  # here, as the help and mistakes in the arguments need none of it
    from ..evaluation import ResultCard
    from ..evaluation import evaluate as measure

    samples, make = _open(task, data, images, options or (), limit)
    loaded = load(model, device=device)
    metrics: dict[str, float] = {}
    for kind in ("generated", "forced") if routing == "both" else (routing,):
        found = measure(
            loaded,
            samples,
            make(),
            kind,
            batch_size=batch_size,
            max_new_tokens=max_new_tokens,
            progress=not as_json,
        ).metrics
        metrics |= {f"{task}/{name}/{kind}": value for name, value in found.items()}
    if card is not None:
        command = shlex.join(["superlink", *sys.argv[1:]])
        notes = (f"{len(samples)} samples of {data}",)
        card.mkdir(parents=True, exist_ok=True)
        path = ResultCard(f"{task} of {model.name}", command, 0, 0.0, metrics, notes).write(card)
        stderr.print(f"card {path}", soft_wrap=True)
    if as_json:
        typer.echo(json.dumps(metrics, indent=2))
        return
    table = Table("metric", "value", box=None, pad_edge=False)
    for name, value in metrics.items():
        table.add_row(name, f"{value:.3f}")
    stdout.print(table)


def _open(
    task: str, data: str, images: Path | None, options: Sequence[str], limit: int | None
) -> tuple[list[Any], Any]:
    """The samples of a task, and what makes its evaluator."""
    from ..registry import default_registry
    from ..training import DataChoice
    from ..training.dataset import open_data

    registry = default_registry()
    spec = registry.task(task)
    if spec.evaluator is None:
        raise ConfigError(
            f"The task {task!r} has no evaluator, so that nothing can be measured. Choose one that "
            "has; `superlink plugins` lists tasks."
        )
    form, _, file = data.partition(":")
    given = dict(map(_option, options))
    given |= {"annotations": file} if file else {}
    given |= {} if images is None else {"images": str(images)}
    records, conversation = open_data(DataChoice(task=task, format=form, options=given), registry)
    count = len(records) if limit is None else min(limit, len(records))
    if not count:
        raise InputError(f"There is nothing to measure: {data} holds no records.")
    samples = [
        conversation(records[index], random.Random(f"evaluation-{index}"), False)
        for index in range(count)
    ]
    return samples, registry.load("task", task, spec.evaluator)


def _option(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ConfigError(f"Expected --option KEY=VALUE, as num_scenes=50. Received: {text!r}")
    return key, yaml.safe_load(value)
