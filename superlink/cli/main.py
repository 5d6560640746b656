"""The command `superlink`: knows its commands by name, and imports only the one that runs."""

from __future__ import annotations

from importlib import import_module, metadata
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from .output import errors_as_panels, stdout

__all__ = ["app"]

COMMANDS = {
    "demo": "Ask the small model that superlink ships, measure it, and write a picture report.",
    "data": "Look at annotated data, find what is broken in it, and convert it.",
    "recipe": "Look at a recipe, find what is wrong in it, and tell an editor its keys.",
    "train": "Train a recipe; a run that was stopped goes on where it was.",
    "finetune": "Teach a model your own classes, from a COCO file and its images.",
    "diagnose": "Find out why a link does not do what it should.",
    "predict": "Ask a model about a picture.",
    "chat": "Talk with a model about pictures, turn by turn.",
    "eval": "Measure a model on annotated data.",
    "ablate": "Train variants of a recipe with several seeds, and test what is claimed of them.",
    "geneval": "Draw the prompts of GenEval into the folders that its scorer reads.",
    "cards": "Collect result cards on one page.",
    "verify": "Check that super links are exact on a backbone.",
    "check": "Check that a task decoder keeps its contract.",
    "new-decoder": "Make a package with a task decoder of your own.",
    "plugins": "Show the installed decoders, tasks and backbones, and what fails.",
    "doctor": "Show what is installed, what to install, and what a recipe will take.",
}
"""Command to its line in the help. `new-decoder` is the `app`, a `typer.Typer`, of the module
`new_decoder` beside this one."""


class LazyGroup(TyperGroup):
    """A group whose commands are imported when they run, so that the help costs nothing."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name, line in COMMANDS.items():
            self.add_command(TyperCommand(name, help=line))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Put the command itself in the place of its line."""
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None and name in COMMANDS:
            module = import_module(f"{__package__}.{name.replace('-', '_')}")
            command = typer.main.get_command(module.app)
        return name, command, rest

    def invoke(self, ctx: Any) -> Any:
        """Run a command; every error of superlink becomes a panel here."""
        with errors_as_panels(ctx.params.get("traceback", False)):
            return super().invoke(ctx)


app = typer.Typer(cls=LazyGroup, no_args_is_help=True, pretty_exceptions_show_locals=False)


def _print_version(value: bool) -> None:
    if value:
        stdout.print(f"superlink {metadata.version('superlink')}", highlight=False)
        raise typer.Exit


@app.callback()
def superlink(
    traceback: Annotated[
        bool, typer.Option("--traceback", help="Show where an error comes from.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """Link any multimodal LLM to task decoders."""
