"""`superlink check`: does a task decoder keep its contract?"""

from __future__ import annotations

import json
import logging
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml
from rich.table import Table
from rich.text import Text

from ..errors import ConfigError
from .output import stderr, stdout

if TYPE_CHECKING:
    from ..testing.checks import CheckResult

__all__ = ["app"]

app = typer.Typer(add_completion=False)

_STYLES = {"passed": "green", "failed": "red", "expected": "yellow", "skipped": "dim"}
_SHORT = 60
"""Characters of what was measured; why a check failed stands below the table, whole."""


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="Name of a decoder; `superlink plugins` lists them.")],
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting of the decoder: embed_dims=64."),
    ] = None,
    calls: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:FUNCTION",
            help="Makes calls with targets, from a number of routes and a seed. [default: drawn "
            "like the decoder's dummy call]",
        ),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")] = False,
) -> None:
    """Check that a task decoder keeps its contract.

    It is built, linked to a tiny random model and called: losses, gradients, batches, pixels,
    checkpoints, and a step of two processes. Small settings make that fast. The exit status is 1
    where a check fails.

    Example: superlink check mmdet.grounding_dino --set image_size=[64,64] --set embed_dims=64
    """
    import torch  # heavy, and `--help` needs none of it

    from ..testing.checks import docs_of
    from ..testing.decoder_checks import DECODER_CHECKS, decoder_checks

    torch.set_num_threads(threads)
    config = _settings(changes or ())
    case = _case(name, config, calls)
    with _quiet(), stderr.status(f"checking {name}"):
        results = decoder_checks(case)
    if as_json:
        rows = {result.name: result.to_json() for result in results}
        typer.echo(json.dumps({"decoder": name, "config": config, "checks": rows}, indent=2))
    else:
        _show(results, docs_of(DECODER_CHECKS))
    if any(result.status == "failed" for result in results):
        raise typer.Exit(1)


def _case(name: str, config: dict[str, Any], calls: str | None) -> Any:
    from ..registry import default_registry, load_object
    from ..testing.decoder_case import DecoderCase

    default_registry().decoder(name)  # raises, with what there is, where there is no such decoder
    return DecoderCase(name, config, calls=None if calls is None else load_object(calls, "--calls"))


def _settings(changes: Sequence[str]) -> dict[str, Any]:
    """The settings that `a.b=c` tells, with values in YAML."""
    settings: dict[str, Any] = {}
    for change in changes:
        key, equals, text = change.partition("=")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"The value of {change!r} is not valid YAML: {error}") from error
        if not equals or not all(key.split(".")):
            raise ConfigError(f"Expected --set KEY=VALUE, as embed_dims=64. Received: {change!r}")
        *parents, last = key.split(".")
        node = settings
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise ConfigError(f"{key!r} of {change!r} leads into a value, not into a mapping.")
        node[last] = value
    return settings


def _show(results: Sequence[CheckResult], faults: dict[str, str]) -> None:
    table = Table("check", "status", "measured", "stops", box=None, pad_edge=False)
    for result in results:
        detail = textwrap.shorten(result.detail, _SHORT, placeholder=" ...")
        status = Text(result.status, _STYLES[result.status])
        table.add_row(result.name, status, Text(detail), Text(faults[result.name], "dim"))
    stdout.print(table)
    for result in results:
        if result.status == "failed":
            lines = (f"{result.name}: {result.detail}", *result.cure.splitlines())
            # Never wrapped, so that a command can be copied.
            stdout.print(Text("\n    ".join(lines)), soft_wrap=True)
    failed = sum(result.status == "failed" for result in results)
    passed = sum(result.status == "passed" for result in results)
    stdout.print(f"{passed} of {len(results)} checks passed, {failed} failed")


@contextmanager
def _quiet() -> Iterator[None]:
    """What libraries print and log about random models goes to stderr and nowhere; errors raise."""
    logging.disable(logging.WARNING)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        logging.disable(logging.NOTSET)
