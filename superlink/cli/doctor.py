"""`superlink doctor`: what this machine has, what to install, and what a recipe will take."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from ..diagnosis import Diagnosis, diagnose, install_lines
from ..diagnosis.units import size_text
from ..registry import PluginWarning, default_registry
from .output import quiet_libraries, stdout

if TYPE_CHECKING:  # heavy, and not needed without a recipe
    from ..diagnosis.memory import RecipeMemory
    from ..training import Recipe

__all__ = ["app"]

app = typer.Typer(add_completion=False)

_MODULES = {True: "compiled", False: "pure Python", None: "not known"}
_STYLES = {"ok": "green", "disabled": "dim", "missing requirement": "yellow"}


@app.command()
def doctor(
    recipe: Annotated[
        Path | None, typer.Option(help="Estimate the memory that this recipe takes.")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change the recipe, as for train."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder of a run. [default: runs/NAME]")
    ] = None,
    print_install: Annotated[
        bool,
        typer.Option(
            "--print-install", help="Print the commands that install all that plugins need."
        ),
    ] = False,
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")] = False,
) -> None:
    """Show what is installed, what to install, and what a recipe will take.

    Nothing is downloaded but a backbone that the recipe names. The exit status is 1 where something
    that was asked for cannot work: a broken plugin, a folder that cannot be written to, a model
    that cannot be built. What merely is not installed is shown with the line that installs it.

    Examples: superlink doctor --print-install

    superlink doctor --recipe recipe.yaml --json
    """
    if print_install:
        with _plugins_are_quiet():
            lines = install_lines(default_registry())
        typer.echo(json.dumps(lines, indent=2) if as_json else "\n".join(lines))
        return
    loaded = None if recipe is None else _load(recipe, changes or (), threads)
    runs = Path("runs") if loaded is None else Path("runs") / loaded.name
    with _plugins_are_quiet():
        found = diagnose(default_registry(), output or runs, loaded)
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=2))
    else:
        _show(found)
    if found.problems():
        raise typer.Exit(1)


@contextmanager
def _plugins_are_quiet() -> Iterator[None]:
    """What plugins print goes to stderr, and their warnings nowhere: the findings say the same."""
    with redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginWarning)
        yield


def _load(path: Path, changes: Sequence[str], threads: int) -> Recipe:
    quiet_libraries(threads)
    from ..training import load_recipe

    return load_recipe(path, changes)


def _show(found: Diagnosis) -> None:
    versions = [f"{name} {version}" for name, version in found.versions.items()]
    _section(", ".join(versions), _packages(found))
    _cures(package.install for package in found.packages)
    _section("Devices", _table(("device", "memory", "what it is"), _devices(found)))
    _section("Plugins", _table(("kind", "name", "distribution", "status"), _plugins(found)))
    # A command is printed as it must be typed: never wrapped, and without markup.
    for entry in found.plugins:
        if entry.status not in ("ok", "disabled"):
            stdout.print(Text(f"{entry.name}: {entry.reason}"), soft_wrap=True)
            _cures(entry.cure.splitlines())
    if found.libraries:
        headers = ("plugins need", "installed", "modules", "needed by")
        _section("Libraries of plugins", _table(headers, _libraries(found)))
    _section("Folders", _table(("use", "free", "folder", "problem"), _folders(found)))
    if found.recipe is not None:
        _show_recipe(found.recipe)
    _section("Problems" if found.problems() else "No problems")
    for problem in found.problems():
        stdout.print(Text(problem, "red"), soft_wrap=True)


def _section(title: str, *blocks: Table) -> None:
    stdout.print(Text(f"\n{title}", "bold"), *blocks, sep="\n", soft_wrap=not blocks)


def _cures(lines: Iterable[str]) -> None:
    for line in filter(None, lines):
        stdout.print(Text(f"    {line}"), soft_wrap=True)


def _table(headers: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for header in headers:
        table.add_column(header, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    return table


def _packages(found: Diagnosis) -> Table:
    rows = []
    for package in found.packages:
        installed = Text(package.installed or "missing", "yellow" if package.install else "")
        rows.append((package.name, installed, package.wanted, package.needed_by))
    return _table(("package", "installed", "wanted", "needed by"), rows)


def _devices(found: Diagnosis) -> Iterator[tuple[str, ...]]:
    for device in found.devices:
        yield device.name, size_text(device.memory_bytes), device.description


def _plugins(found: Diagnosis) -> Iterator[tuple[str | Text, ...]]:
    for entry in found.plugins:
        distribution = f"{entry.distribution} {entry.version}"
        status = Text(entry.status, _STYLES.get(entry.status, "red"))
        yield entry.kind, entry.name, distribution, status


def _libraries(found: Diagnosis) -> Iterator[tuple[str, ...]]:
    for library in found.libraries:
        modules = _MODULES[library.compiled] if library.installed else ""
        installed = library.installed or "missing"
        yield library.wanted, installed, modules, ", ".join(library.needed_by)


def _folders(found: Diagnosis) -> Iterator[tuple[str, ...]]:
    for folder in found.folders:
        yield folder.use, size_text(folder.free_bytes), folder.path, folder.problem


def _show_recipe(recipe: RecipeMemory) -> None:
    from ..diagnosis.memory import ASSUMPTIONS

    headers = ("part", "parameters", "trained", "weights", "gradients", "AdamW", "average", "sum")
    for stage in recipe.stages:
        rows = [
            (
                part.name,
                f"{part.parameters:,}",
                f"{part.trained:,}",
                *map(size_text, (part.weight_bytes, part.gradient_bytes, part.optimizer_bytes)),
                *map(size_text, (part.average_bytes, part.total_bytes)),
            )
            for part in stage.parts
        ]
        title = f"Memory of stage {stage.name}: {size_text(stage.total_bytes)} and activations"
        _section(title, _table(headers, rows))
    how = "with its weights" if recipe.weights_loaded else "without its weights"
    writes = f"A run of {recipe.name} writes up to {size_text(recipe.disk_bytes)}."
    for line in (f"The backbone was built {how}. {writes}", *ASSUMPTIONS):
        stdout.print(Text(line), soft_wrap=True)
