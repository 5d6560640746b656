"""`superlink eval`: measure a model on annotated data."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.table import Table
from rich.text import Text

from ..errors import InputError
from .choices import choose_data
from .key_values import parse_option
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
            help="Argument of the task's evaluator: synonyms=FILE, clip=FOLDER.",
        ),
    ] = None,
    decoder: Annotated[
        list[str] | None,
        typer.Option(
            "--decoder",
            metavar="KEY=VALUE",
            help="What a decoder is asked for in each reply: num_inference_steps=20.",
        ),
    ] = None,
    shuffled: Annotated[
        bool,
        typer.Option(
            "--shuffled",
            help="Ask each sample what another one asks: pictures that are right all the same owe "
            "it to chance.",
        ),
    ] = False,
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
    classes_per_reply: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Ask for long lists in questions of so many classes, and measure their replies as "
            "one; 80 classes in one reply are more than a small LLM can list.",
        ),
    ] = None,
    max_per_image: Annotated[
        int,
        typer.Option(
            min=1,
            help="With --classes-per-reply, the most instances of an image, best first: 100 for "
            "COCO, 300 for LVIS.",
        ),
    ] = 100,
    card: Annotated[
        Path | None,
        typer.Option(help="Folder for a result card: JSON, Markdown, best and worst replies."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write over the card of another command.")
    ] = False,
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
    from ..evaluation.identity import folder_digest
    from ..evaluation.making import make_evaluator
    from ..evaluation.processes import started_processes
    from ..evaluation.samples import TaskSamples
    from ..evaluation.session import Session
    from ..registry import default_registry
    from ..tasks.chunks import Chunks
    from ..training.dataset import open_data
    from .making import options_by_decoder

    registry = default_registry()
    given = dict(parse_option(option, "--measure") for option in measure or ())
    evaluator = make_evaluator(task, given, registry)
    if paper is not None:
        check_benchmark(paper)
    command = shlex.join(["superlink", *sys.argv[1:]])
    if card is not None:
        _check_card(card, command, overwrite)
    choice = choose_data(
        data, images, options or (), task, registry, conversation=conversation or ()
    )
    records, converse = open_data(choice, registry)
    samples = TaskSamples(records, converse, limit, seed, shuffled=shuffled)
    digest = folder_digest(model, without=card)
    processes = started_processes()
    on = f"{device}:{processes.local_rank}" if device == "cuda" else device
    linked = load(model, device=on)
    session = Session(
        linked,
        _run_name(model),
        choice,
        samples,
        evaluator,
        measure_options=given,
        decoder_options=options_by_decoder(linked, decoder or (), flag="--decoder"),
        seed=seed,
        batch_size=batch_size,
        max_new_tokens=max_new_tokens,
        chunks=Chunks(classes_per_reply, max_per_image) if classes_per_reply else None,
        broken=broken,
        workers=workers,
        progress=not as_json,
        processes=processes,
    )
    kinds: Any = ("generated", "forced") if routing == "both" else (routing,)
    found = session.measure(kinds, card, digest)
    if processes.rank != 0:
        return
    metrics = session.metrics(found)
    if card is not None:
        path = session.write_card(found, card, command, name=name, benchmark=paper)
        stderr.print(f"card {path}", soft_wrap=True)
    if as_json:
        typer.echo(json.dumps(metrics, indent=2))
        return
    stdout.print(_table(metrics, kinds))
    for note in session.notes(found):
        stdout.print(Text(f"- {note}"), soft_wrap=True)
    for figure in session.paper(paper, found):
        stdout.print(Text(figure.sentence()), soft_wrap=True)


def _check_card(folder: Path, command: str, overwrite: bool) -> None:
    """Refuse to write over the card of another command."""
    from ..evaluation import ResultCard

    path = folder / "card.json"
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--card is a folder. Received a file: {str(folder)!r}")
    if overwrite or not path.is_file():
        return
    if (other := ResultCard.read(path).command) != command:
        raise InputError(
            f"{folder} holds the card of another command: {other}. Choose another folder, or "
            "give --overwrite."
        )


def _run_name(model: Path) -> str:
    """How cards call a model: runs leave it in a folder that is called model."""
    path = model.resolve()
    return path.parent.name if path.name == "model" else path.name


def _table(metrics: Mapping[str, float], routings: Sequence[str]) -> Table:
    """One line for each metric, one column for each kind of routing."""
    table = Table("metric", *routings, box=None, pad_edge=False)
    stems = dict.fromkeys(name.rpartition("/")[0] for name in metrics)
    for stem in stems:
        values = (metrics.get(f"{stem}/{routing}") for routing in routings)
        table.add_row(stem, *("" if value is None else f"{value:.3f}" for value in values))
    return table
