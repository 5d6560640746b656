"""`superlink data`: look at annotated data, find what is broken in it, and convert it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.progress import track
from rich.text import Text

from ..errors import ConfigError, InputError
from .output import quiet_libraries, stderr, stdout

if TYPE_CHECKING:
    from ..inspection.opening import OpenedSet
    from ..inspection.validation import Finding

T = TypeVar("T")

__all__ = ["app"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Look at annotated data, find what is broken in it, and convert it.",
)

Data = Annotated[
    str,
    typer.Argument(
        metavar="FORMAT[:FILE]",
        help="A reader of any task, and its file: coco:instances.json, scenes. "
        "`superlink plugins` lists tasks.",
    ),
]
Images = Annotated[Path | None, typer.Option(help="Folder of the images, for a file.")]
Task = Annotated[
    str | None,
    typer.Option(help="Task that reads them, where several do; otherwise the first is taken."),
]
Options = Annotated[
    list[str] | None,
    typer.Option("--option", metavar="KEY=VALUE", help="Further argument of the reader."),
]
Limit = Annotated[int | None, typer.Option(min=1, help="Records to take at most.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")]


@app.command()
def inspect(
    data: Data,
    images: Images = None,
    task: Task = None,
    options: Options = None,
    conversation: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Further argument of the task's conversation."),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(help="Checkpoint folder or recipe; the sheet then shows what it will see."),
    ] = None,
    limit: Limit = None,
    samples: Annotated[int, typer.Option(min=0, help="Samples to show.")] = 12,
    seed: Annotated[int, typer.Option(help="Which samples, and what is drawn for them.")] = 0,
    sheet: Annotated[Path | None, typer.Option(help="Write the samples as a picture.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Count what a set holds, and show samples as a model is trained on them.

    Prints what there is of everything, what the reader left out, and a few conversations. The
    sheet shows their images with the targets and, for a --model, as its LLM and its task decoders
    get them. Readers of masks decode them with --option masks=true.

    Example: superlink data inspect coco:instances.json --images train2017 --sheet sheet.png
    """
    quiet_libraries(threads)
    from ..inspection.counts import count_records
    from ..inspection.samples import choose_samples
    from .sheet import check_sheet, load_model, write_sheet
    from .tables import print_counts, print_reasons, print_sample, print_warnings

    check_sheet(sheet, samples, model)
    linked = None if model is None else load_model(model)
    opened = _open(data, images, options, task, conversation, broken="skip")
    indices = opened.indices(limit)
    tracked = _tracked(indices, "Counting records", len(indices), show=not as_json)
    counts = count_records(opened.records, tracked, data)
    shown = choose_samples(opened, indices, samples, seed)
    if sheet is not None:
        write_sheet(sheet, shown, linked)
    if as_json:
        found = {"task": opened.choice.task, "format": opened.choice.format, **counts.to_json()}
        found["left_out"] = [finding.to_json() for finding in opened.left_out]
        found["warnings"] = opened.warnings
        found["samples"] = [one.to_json() for one in shown]
        typer.echo(json.dumps(found, indent=2))
        return
    print_counts(counts)
    print_reasons([*opened.left_out, *counts.broken], examples=3)
    print_warnings(opened.warnings)
    for one in shown:
        print_sample(one)
    if sheet is not None:
        stderr.print(Text(f"sheet {sheet}"), soft_wrap=True)


@app.command()
def validate(
    data: Data,
    images: Images = None,
    task: Task = None,
    options: Options = None,
    limit: Limit = None,
    workers: Annotated[
        int, typer.Option(min=0, help="Processes that read; with 0 this one does.")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Read a whole set, its images and masks included, and list all that is broken.

    The exit status is 1 where something is, and 0 where nothing is but what does no harm, as a box
    without an area, or only looks wrong, as boxes that end outside of their image: warnings say so.
    What is left out when the set is opened, training leaves out as well with the
    reader's option broken=skip.

    Example: superlink data validate coco:instances.json --images train2017 --workers 8
    """
    quiet_libraries(1)
    from ..inspection.validation import check_records
    from .tables import print_reasons, print_verdict, print_warnings

    opened = _open(data, images, options, task, None, broken="skip", masks=True)
    indices = opened.indices(limit)
    checks = check_records(opened.records, indices, workers=workers, source=data)
    tracked = _tracked(checks, "Reading records", len(indices), show=not as_json)
    broken = [finding for finding in tracked if finding is not None]
    findings = [*opened.left_out, *broken]
    lost = [finding for finding in opened.left_out if not finding.harmless]
    if as_json:
        found = {
            "records": len(indices),
            "whole": len(indices) - len(broken),
            "broken": len(broken),
            "left_out": len(opened.left_out),
            "harmless": not broken and not lost,
            "problems": [finding.to_json() for finding in findings],
            "warnings": opened.warnings,
        }
        typer.echo(json.dumps(found, indent=2))
    else:
        for finding in findings:
            stdout.print(Text(str(finding)), soft_wrap=True)
        print_reasons(findings)
        print_warnings(opened.warnings)
        print_verdict(len(indices), len(broken), len(opened.left_out), len(lost))
    if broken or lost:
        raise typer.Exit(1)


@app.command()
def convert(
    data: Annotated[
        str,
        typer.Argument(
            metavar="FORMAT[:FILE]", help="A reader and its file; or refs:FILE, RefCOCO's pickle."
        ),
    ],
    output: Annotated[Path, typer.Option(help="What to write: a new folder; for refs a new file.")],
    images: Images = None,
    task: Task = None,
    options: Options = None,
    limit: Limit = None,
) -> None:
    """Write a set in a form that is read everywhere, all or nothing.

    What a reader makes annotated images of becomes a COCO folder: instances.json and images/. The
    pickle of RefCOCO, refs(unc).p, becomes JSON, without running what a pickle may hold. With
    --option broken=skip, records whose image or mask cannot be read are left out and listed.

    Example: superlink data convert scenes:val --option num_scenes=200 --output scenes

    Example: superlink data convert "refs:refs(unc).p" --output refs.json
    """
    if output.exists():
        raise InputError(
            f"What is there stays as it is. Received: {str(output)!r}. Choose another."
        )
    form, _, file = data.partition(":")
    if form == "refs":
        _convert_refs(
            file, output, {"images": images, "task": task, "option": options, "limit": limit}
        )
    else:
        _convert_images(_open(data, images, options, task, None, masks=True), output, limit)


def _open(
    data: str,
    images: Path | None,
    options: Sequence[str] | None,
    task: str | None,
    conversation: Sequence[str] | None,
    **defaults: Any,
) -> OpenedSet:
    """Open what the arguments name; where several tasks read it, say which was taken."""
    from ..inspection.opening import open_set
    from ..registry import default_registry
    from .choices import choose_data, tasks_reading

    registry = default_registry()
    choice = choose_data(
        data, images, options or (), task, registry, conversation=conversation or ()
    )
    others = [name for name in tasks_reading(choice.format, registry) if name != choice.task]
    if task is None and others:
        told = f"read for the task {choice.task}; --task chooses another: {', '.join(others)}"
        stderr.print(Text(told))
    return open_set(choice, registry, defaults)


def _tracked(items: Iterable[T], what: str, total: int, *, show: bool) -> Iterable[T]:
    """The items, with a bar on stderr where somebody looks at it."""
    hidden = not (show and stderr.is_terminal)
    return track(items, what, total, console=stderr, transient=True, disable=hidden)


def _convert_images(opened: OpenedSet, output: Path, limit: int | None) -> None:
    from ..data import export_coco
    from ..inspection.opening import annotated_images

    indices = opened.indices(limit)
    tracked = _tracked(indices, "Writing images", len(indices), show=True)
    broken: list[Finding] = []
    path = export_coco(annotated_images(opened, tracked, broken), output, progress=False)
    for finding in broken:
        stderr.print(Text(f"left out: {finding}"), soft_wrap=True)
    if number := len(opened.left_out) + len(broken):
        items = "1 item" if number == 1 else f"{number} items"
        stderr.print(f"{items} left out; `superlink data validate` lists them")
    typer.echo(path)


def _convert_refs(file: str, output: Path, others: dict[str, Any]) -> None:
    from ..data.readers.refcoco_pickle import convert_refs

    if given := [f"--{name}" for name, value in others.items() if value]:
        raise ConfigError(f"refs is one file and takes no options. Received: {', '.join(given)}")
    if not file:
        raise ConfigError(
            "Expected refs:FILE, as 'refs:refs(unc).p'. Received: refs without a file"
        )
    number = convert_refs(Path(file), output)
    stderr.print(f"{number} references")
    typer.echo(output)
