"""`superlink verify`: is a backbone exact with super links?"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import track
from rich.table import Table
from rich.text import Text

from ..errors import ConfigError
from .output import quiet_libraries, stderr, stdout

__all__ = ["app"]

app = typer.Typer(add_completion=False)

_STYLES = {"passed": "green", "failed": "red", "expected": "yellow", "skipped": "dim"}


@app.command()
def verify(
    backbone: Annotated[
        str | None,
        typer.Argument(help="Hub id, folder, backbone of a plugin, or tiny:ARCHITECTURE."),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every architecture of transformers, as tiny models.")
    ] = False,
    only: Annotated[
        list[str] | None, typer.Option(help="With --all: this architecture; several are possible.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")] = False,
) -> None:
    """Check that super links are exact on a backbone.

    Toy decoders are attached, the model is made to write routes, and its states are compared:
    written with a cache and read at once, in a batch and alone, padded left and right. Nothing of
    the model is changed. The exit status is 1 where a check fails.

    Examples: superlink verify tiny:qwen2_5_vl

    superlink verify ./my-model --json
    """
    if (backbone is None) == (not every):
        raise ConfigError(
            "Name one backbone, or give --all. Received: "
            f"backbone={backbone!r}, --all={every}. Example: superlink verify tiny:llava"
        )
    quiet_libraries(threads)
    rows = _all(only or ()) if every else [_one(str(backbone), show=not as_json)]
    if as_json:
        versions = {name: version(name) for name in ("superlink", "transformers", "torch")}
        outcome = {"versions": versions, "architectures": rows} if every else rows[0]
        typer.echo(json.dumps(outcome, indent=2))
    elif every:
        stdout.print(_summary(rows))
    if any(check["status"] == "failed" for row in rows for check in row["checks"].values()):
        raise typer.Exit(1)


def _one(backbone: str, *, show: bool) -> dict[str, Any]:
    from ..testing.backbone_checks import BACKBONE_CHECKS, backbone_checks
    from ..testing.checks import CheckResult, docs_of
    from ..testing.matrix import verify_architecture

    results: list[CheckResult] = []
    with _quiet():
        if backbone.startswith("tiny:"):
            row = verify_architecture(backbone.removeprefix("tiny:"), on_result=results.append)
            if row["refused"]:
                raise ConfigError(f"{backbone} cannot be built here. {row['refused']}")
        else:
            results += backbone_checks(_case(backbone))
            checks = {r.name: {"status": r.status, "detail": r.detail} for r in results}
            row = {"backbone": backbone, "refused": None, "checks": checks}
    if show:
        faults = docs_of(BACKBONE_CHECKS)
        table = Table("check", "status", "measured", "stops", box=None, pad_edge=False)
        for result in results:
            detail = result.detail if len(result.detail) < 50 else ""
            status = Text(result.status, _STYLES[result.status])
            table.add_row(result.name, status, Text(detail), Text(faults[result.name], "dim"))
        stdout.print(table)
        for result in results:
            if result.status in ("failed", "expected"):
                stdout.print(Text(f"{result.name}: {result.detail}\n    {result.cure}".rstrip()))
    return row


def _case(backbone: str) -> Any:
    """A backbone by the name that a plugin gave it, or by its source."""
    from ..registry import default_registry
    from ..testing.backbone_case import BackboneCase

    registry = default_registry()
    names = [e.name for e in registry.entries() if e.kind == "backbone" and e.status == "ok"]
    name, config = (backbone, {}) if backbone in names else ("transformers", {"source": backbone})
    if name == "transformers":
        config["dtype"] = "float32"

    def reload(folder: Path) -> Any:
        return registry.build("backbone", name, {**config, "source": str(folder)})

    return BackboneCase(lambda: registry.build("backbone", name, config), reload, backbone)


def _all(only: list[str] | tuple[str, ...]) -> list[dict[str, Any]]:
    from ..testing.architectures import ARCHITECTURES, refused
    from ..testing.matrix import verify_architecture

    for name in only:
        refused(name)  # raises where there is no such architecture
    names = list(only) or list(ARCHITECTURES)
    with _quiet():
        return [
            verify_architecture(name)
            for name in track(names, "architectures", console=stderr, transient=True)
        ]


def _summary(rows: list[dict[str, Any]]) -> Table:
    """One line an architecture."""
    table = Table("architecture", "passed", "what does not", box=None, pad_edge=False)
    for row in rows:
        checks = row["checks"]
        passed = sum(check["status"] == "passed" for check in checks.values())
        wrong = [
            f"{name}: {check['detail']}"
            for name, check in checks.items()
            if check["status"] in ("failed", "expected")
        ]
        table.add_row(
            row["architecture"],
            f"{passed} of {len(checks)}" if checks else "",
            Text(row["refused"] or "; ".join(wrong)),
        )
    return table


@contextmanager
def _quiet() -> Iterator[None]:
    """Libraries log and warn much about random models; errors still raise."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
