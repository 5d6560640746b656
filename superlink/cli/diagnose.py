"""`superlink diagnose`: why a link does not do what it should."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from ..errors import ConfigError
from .output import quiet_libraries, stderr, stdout

if TYPE_CHECKING:
    from ..diagnosis.links import Finding, LinkDiagnosis, Run
    from ..registry import Registry

__all__ = ["app"]

app = typer.Typer(add_completion=False)

_STYLES = {"ok": "green", "warning": "yellow", "problem": "red"}


@app.command()
def diagnose(
    folder: Annotated[Path, typer.Argument(help="Checkpoint folder, or the folder of a run.")],
    task: Annotated[
        str | None, typer.Option(help="Name of a task, with --data. [default: those of the run]")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Format of the task's readers, and its file, as for eval.")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the images, for a file.")] = None,
    options: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="KEY=VALUE", help="Further argument of the reader."),
    ] = None,
    conversation: Annotated[
        list[str] | None,
        typer.Option(
            "--conversation", metavar="KEY=VALUE", help="Argument of the task's conversation."
        ),
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Samples to look at.")] = 32,
    replies: Annotated[
        int, typer.Option(min=0, help="Of them, those that the model answers by itself.")
    ] = 8,
    batch_size: Annotated[int, typer.Option(min=1, help="Samples of a forward.")] = 4,
    seed: Annotated[int, typer.Option(help="Of which samples.")] = 0,
    device: Annotated[str, typer.Option(help="Where to run, as torch names it: cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")] = False,
) -> None:
    """Find out why a link does not do what it should.

    A few samples go through the model: how likely is each routing token where it should come, how
    much gradient reaches the queries, have queries or conditions become one another, have rows run
    away, are slots filled in its own replies? Of a run, the logs are looked at too. The exit status
    is 1 where a problem is found.

    Examples: superlink diagnose runs/first

    superlink diagnose demo/model --task detection --data scenes --option split=val
    """
    quiet_libraries(threads)
    from ..build import load
    from ..diagnosis.links import diagnose_links, draw_samples, find_run
    from ..registry import default_registry

    registry = default_registry()
    run = find_run(folder)
    given = _given(task, data, images, options or (), conversation or (), registry)
    chosen, broken = draw_samples(_sources(given, run, registry), samples, seed)
    model = load(folder if run is None else run.model, registry, device=device)
    with _bar(len(chosen) + min(replies, len(chosen)), shown=not as_json) as advance:
        found = diagnose_links(
            model,
            chosen,
            run=run,
            num_replies=replies,
            batch_size=batch_size,
            seed=seed,
            advance=advance,
        )
    found = found.with_findings(broken)
    if as_json:
        looked_at = {"folder": str(folder), "model": str(run.model if run else folder)}
        typer.echo(json.dumps(looked_at | found.to_json(), indent=2))
    else:
        _show(found)
    if found.status == "problem":
        raise typer.Exit(1)


def _given(
    task: str | None,
    data: str | None,
    images: Path | None,
    options: Sequence[str],
    conversation: Sequence[str],
    registry: Registry,
) -> Any:
    """The data that the command line names; None where it names none."""
    from .choices import choose_data

    if data is None:
        if task or images or options or conversation:
            raise ConfigError(
                "--task, --images, --option and --conversation say more about --data. Received: "
                "none. Give it, as --data scenes."
            )
        return None
    return choose_data(data, images, options, task, registry, conversation=conversation)


def _sources(given: Any, run: Run | None, registry: Registry) -> list[Any]:
    from ..training.dataset import open_data

    if given is not None:
        return [open_data(given, registry)]
    if run is None:
        raise ConfigError(
            "A model by itself does not say what it was trained on. Give data, as for `superlink "
            "eval`: --task detection --data scenes --option split=val"
        )
    names = dict.fromkeys(name for stage in run.recipe.stages for name in stage.names)
    return [open_data(run.recipe.data[name], registry) for name in names]


@contextmanager
def _bar(total: int, *, shown: bool) -> Iterator[Any]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    disabled = not (shown and stderr.is_terminal)
    with Progress(*columns, console=stderr, transient=True, disable=disabled) as progress:
        bar = progress.add_task("looking at samples", total=total)
        yield lambda count: progress.advance(bar, count)


def _show(found: LinkDiagnosis) -> None:
    table = Table("check", "of", "status", "measured", "bound", box=None, pad_edge=False)
    for finding in found.findings:
        status = Text(finding.status, _STYLES[finding.status])
        cells = (finding.check, finding.subject, status, finding.measured, finding.bound)
        table.add_row(*(Text(c) if isinstance(c, str) else c for c in cells))
    stdout.print(table)
    for finding in found.findings:
        if finding.status != "ok":
            _explain(finding)
    counts = {s: sum(f.status == s for f in found.findings) for s in ("problem", "warning")}
    stdout.print(
        f"\n{found.num_samples} samples: {counts['problem']} problems, {counts['warning']} warnings"
    )


def _explain(finding: Finding) -> None:
    from ..diagnosis.links import SYMPTOMS

    title = Text(f"\n{finding.status}: {finding.symptom}", _STYLES[finding.status])
    # Never wrapped, so that a path can be copied.
    for line in (title, f"    {finding.advice}", f"    {SYMPTOMS}#{finding.anchor}"):
        stdout.print(Text(line) if isinstance(line, str) else line, soft_wrap=True)
