"""`superlink eval`: measure a model on annotated data."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table

from ..errors import ConfigError
from .choices import choose_data, parse_option
from .output import quiet_libraries, stderr, stdout

if TYPE_CHECKING:
    from ..evaluation import Evaluator
    from ..registry import Registry

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
    conversation: Annotated[
        list[str] | None,
        typer.Option(
            "--conversation",
            metavar="KEY=VALUE",
            help="Argument of the task's conversation: absent_classes=all asks for every class.",
        ),
    ] = None,
    measure: Annotated[
        list[str] | None,
        typer.Option(
            "--measure",
            metavar="KEY=VALUE",
            help="Argument of the task's evaluator: synonyms=FILE.",
        ),
    ] = None,
    routing: Annotated[
        Literal["generated", "forced", "both"],
        typer.Option(help="The LLM writes its routes itself, they are given, or both in turn."),
    ] = "both",
    limit: Annotated[int | None, typer.Option(min=1, help="Records to take at most.")] = None,
    seed: Annotated[int, typer.Option(help="Of which absent classes are asked for.")] = 0,
    broken: Annotated[
        Literal["error", "skip"],
        typer.Option(help="An image that cannot be read ends the run, or is left out and counted."),
    ] = "error",
    batch_size: Annotated[int, typer.Option(min=1, help="Samples answered together.")] = 16,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Tokens to write at most.")] = 256,
    card: Annotated[
        Path | None,
        typer.Option(help="Folder for a result card: JSON, Markdown, best and worst replies."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="What the card calls itself.")] = None,
    paper: Annotated[
        str | None,
        typer.Option(
            metavar="SET", help="The data are this set of the paper, as coco_val2017: compare."
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read images ahead.")] = 0,
    device: Annotated[str, typer.Option(help="Where to run, as torch names it: cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch.")] = 1,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the metrics as JSON, and nothing else.")
    ] = False,
) -> None:
    """Measure a model on annotated data.

    With --card, a run that was stopped goes on when the command is given again, and several
    processes share the work: accelerate launch --num_processes 2 -m superlink eval ...

    Example: superlink eval demo/model --task detection --data scenes --option split=val --limit 50
    """
    quiet_libraries(threads)
    from ..build import load  # here, as the help and mistakes in the arguments need none of it
    from ..evaluation.cards import check_benchmark
    from ..evaluation.processes import started_processes
    from ..evaluation.samples import TaskSamples
    from ..evaluation.session import Session, folder_digest
    from ..registry import default_registry
    from ..training.dataset import open_data

    registry = default_registry()
    evaluator = _evaluator(task, measure or (), registry)
    if paper is not None:
        check_benchmark(paper)
    choice = choose_data(
        data, images, options or (), task, registry, conversation=conversation or ()
    )
    records, converse = open_data(choice, registry)
    samples = TaskSamples(records, converse, limit, seed)
    processes = started_processes()
    on = f"{device}:{processes.local_rank}" if device == "cuda" else device
    session = Session(
        load(model, device=on),
        model.resolve().name,
        choice,
        samples,
        evaluator,
        seed=seed,
        batch_size=batch_size,
        max_new_tokens=max_new_tokens,
        broken=broken,
        workers=workers,
        progress=not as_json,
        processes=processes,
    )
    kinds: Any = ("generated", "forced") if routing == "both" else (routing,)
    found = session.measure(kinds, card, folder_digest(model))
    if processes.rank != 0:
        return
    metrics = session.metrics(found)
    if card is not None:
        command = shlex.join(["superlink", *sys.argv[1:]])
        path = session.write_card(found, card, command, name=name, benchmark=paper)
        stderr.print(f"card {path}", soft_wrap=True)
    if as_json:
        typer.echo(json.dumps(metrics, indent=2))
        return
    table = Table("metric", "value", box=None, pad_edge=False)
    for metric, value in metrics.items():
        table.add_row(metric, f"{value:.3f}")
    stdout.print(table)


def _evaluator(task: str, options: Any, registry: Registry) -> Evaluator:
    spec = registry.task(task)
    if spec.evaluator is None:
        raise ConfigError(
            f"The task {task!r} has no evaluator, so that nothing can be measured. Choose one that "
            "has; `superlink plugins` lists tasks."
        )
    make = registry.load("task", task, spec.evaluator)
    given = dict(parse_option(option, "--measure") for option in options)
    try:
        made: Evaluator = make(**given)
    except TypeError as error:
        raise ConfigError(
            f"The evaluator of {task!r} cannot take these options: {error}. Received: {given}"
        ) from error
    return made
