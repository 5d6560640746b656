"""`superlink cards`: result cards of many runs on one page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from .output import stderr, stdout

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command()
def cards(
    folders: Annotated[
        list[Path], typer.Argument(help="Folders; every card.json below them is taken.")
    ],
    output: Annotated[
        Path | None, typer.Option(help="Write the page here, as Markdown with its pictures linked.")
    ] = None,
    title: Annotated[str, typer.Option(help="Heading of the page.")] = "Result cards",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the cards as JSON, and nothing else.")
    ] = False,
) -> None:
    """Collect result cards on one page.

    Example: superlink cards runs --output results.md
    """
    from ..evaluation.cards import cards_page, find_cards

    found = find_cards(folders)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(cards_page(found, output.parent, title), encoding="utf-8")
        stderr.print(f"page {output}", soft_wrap=True)
    if as_json:
        typer.echo(json.dumps({str(p): json.loads(p.read_text("utf-8")) for p in found}, indent=2))
        return
    table = Table("card", "metric", "value", box=None, pad_edge=False)
    for card in found.values():
        for name, value in card.metrics.items():
            table.add_row(card.name, name, f"{value:.3f}")
    stdout.print(table)
