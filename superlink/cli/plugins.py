"""`superlink plugins`: what is installed, in what state, and what to do where it does not work."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from ..registry import Entry, PluginWarning, Status, default_registry
from .output import stdout

__all__ = ["app"]

app = typer.Typer(add_completion=False)

_STYLES: dict[Status, str] = {"ok": "green", "disabled": "dim", "missing requirement": "yellow"}


@app.command()
def plugins(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON list, and nothing else.")
    ] = False,
) -> None:
    """Show the installed decoders, tasks and backbones, and what fails."""
    entries = _entries()
    if as_json:
        typer.echo(json.dumps([entry.to_json() for entry in entries], indent=2))
        return
    stdout.print(_table(entries))
    for entry in entries:
        if entry.status != "ok":
            # Never wrapped, so that a command can be copied.
            stdout.print(_explanation(entry), soft_wrap=True)


def _entries() -> list[Entry]:
    """The entries of the registry. What plugins print while they load goes to stderr, and their
    warnings nowhere: the entries say the same."""
    with redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginWarning)
        return default_registry().entries()


def _table(entries: Sequence[Entry]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for header in ("kind", "name"):
        table.add_column(header, no_wrap=True)
    for header in ("tokens", "queries", "distribution", "version", "licence"):
        table.add_column(header, overflow="fold")
    table.add_column("status", no_wrap=True)
    for entry in entries:
        cells = (
            entry.kind,
            entry.name,
            " ".join(entry.tokens),
            "" if entry.num_queries is None else str(entry.num_queries),
            entry.distribution,
            entry.version,
            entry.license,
        )
        # Text, as the brackets of a token are no markup.
        table.add_row(*map(Text, cells), _status(entry))
    return table


def _status(entry: Entry) -> Text:
    return Text(entry.status, _STYLES.get(entry.status, "red"))


def _explanation(entry: Entry) -> Text:
    """Why an entry does not work, and under it what to do."""
    lines = [f": {entry.reason}", *(f"    {line}" for line in entry.cure.splitlines())]
    return Text.assemble(f"{entry.kind} {entry.name}: ", _status(entry), "\n".join(lines))
