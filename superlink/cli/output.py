"""What commands print: results to stdout, all else to stderr; and errors as panels."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

import typer
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from ..errors import SuperLinkError

__all__ = [
    "EXIT_STATUS",
    "errors_as_panels",
    "libraries_on_stderr",
    "quiet_libraries",
    "stderr",
    "stdout",
]

EXIT_STATUS = 2
"""Exit status of a command that a `SuperLinkError` ends."""

# A pipe or a file gets the lines of a table whole, so that they can be searched.
stdout = Console(width=None if sys.stdout.isatty() else 200)
stderr = Console(stderr=True)


def quiet_libraries(threads: int) -> None:
    """Set the threads of torch, and keep libraries from printing over our own output."""
    import torch  # both are heavy, and `--help` needs neither

    from ..backbones.quiet import quiet_transformers

    torch.set_num_threads(threads)
    quiet_transformers()


@contextmanager
def libraries_on_stderr() -> Iterator[None]:
    """What libraries print goes to stderr: stdout is for results."""
    with redirect_stdout(sys.stderr):
        yield


@contextmanager
def errors_as_panels(show_traceback: bool) -> Iterator[None]:
    """End a command that raises a `SuperLinkError` with one red panel and `EXIT_STATUS`.

    Any other exception is a defect, and goes on with its traceback.

    Args:
        show_traceback: Whether to print the traceback too; the environment variable
            SUPERLINK_TRACEBACK asks for it as well, unless it is empty or 0.
    """
    try:
        yield
    except SuperLinkError as error:
        if show_traceback or os.environ.get("SUPERLINK_TRACEBACK", "0") not in ("", "0"):
            stderr.print(Text("".join(traceback.format_exception(error))), soft_wrap=True)
        # Text, as [brackets] of a message are no markup.
        stderr.print(Panel(Text(str(error)), title=type(error).__name__, border_style="red"))
        raise typer.Exit(EXIT_STATUS) from error
