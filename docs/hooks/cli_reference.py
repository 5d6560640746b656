"""Writes the reference of the command line from the commands themselves, when the site is built."""

from __future__ import annotations

import re
from typing import Any

import typer
from typer.cli import get_docs_for_click

from superlink.cli.main import app

PAGE = "reference/cli.md"


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Called by MkDocs for every page; all others stay as they are."""
    if page.file.src_uri != PAGE:
        return markdown
    return markdown + command_reference()


def command_reference() -> str:
    """One section for each command, in the order of `superlink --help`."""
    group: Any = typer.main.get_command(app)
    context = typer.Context(group, info_name="superlink")
    # Commands are loaded when they run: resolving one gives it with its options.
    commands = (group.resolve_command(context, [name])[1] for name in group.list_commands(context))
    sections = (
        get_docs_for_click(obj=command, ctx=context, name=name, call_prefix="superlink", indent=1)
        for name, command in zip(group.list_commands(context), commands, strict=True)
    )
    return "\n".join(re.sub(r"\n{3,}", "\n\n", section) for section in sections)
