"""`superlink new-decoder`: a package with a task decoder, green before a line is written."""

from __future__ import annotations

import json
import shlex
import sys
import warnings
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from ..errors import ConfigError
from ..registry import PluginWarning, default_registry
from ..scaffold import NewDecoder, write_package
from .output import stderr, stdout

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command()
def new_decoder(
    name: Annotated[str, typer.Argument(help="Name of the decoder: depth, line_art.")],
    output: Annotated[
        Path | None, typer.Option(help="Folder of the package. [default: superlink-NAME]")
    ] = None,
    token: Annotated[
        str, typer.Option(help="Routing token that calls it: '[DEPTH]'. [default: '[NAME]']")
    ] = "",
    num_queries: Annotated[int, typer.Option(help="Super-link queries behind each token.")] = 2,
    license: Annotated[str, typer.Option(help="Licence of the package, as SPDX.")] = "Apache-2.0",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what was made as JSON, and nothing else.")
    ] = False,
) -> None:
    """Make a package with a task decoder of your own.

    It can be installed, passes its tests, and trains on toy data that it draws itself. From there
    its parts are exchanged one by one. Example:
    superlink new-decoder depth --token "[DEPTH]"
    """
    decoder = NewDecoder(name, token, num_queries, license)
    _check_free(decoder)
    folder = Path(decoder.distribution) if output is None else output
    files = write_package(decoder, folder)
    steps = [
        f"cd {shlex.quote(str(folder))}",
        "pip install -e '.[dev]'",
        "superlink plugins",
        f"superlink check {decoder.key}",
        "pytest",
        "superlink train recipe.yaml",
    ]
    if as_json:
        made = {
            "decoder": decoder.key,
            "token": decoder.token,
            "distribution": decoder.distribution,
            "folder": str(folder),
            "files": [path.as_posix() for path in files],
            "next": steps,
        }
        typer.echo(json.dumps(made, indent=2))
        return
    stderr.print(Text(f"{decoder.distribution}: {len(files)} files in {folder}. Next:"))
    stdout.print(Text("\n".join(steps)), soft_wrap=True)


def _check_free(decoder: NewDecoder) -> None:
    """Raise where a name is somebody else's. A package that was made before may be made again."""
    with redirect_stdout(sys.stderr), warnings.catch_warnings():  # as `superlink plugins` does
        warnings.simplefilter("ignore", PluginWarning)
        entries = default_registry().entries()
    own = [entry for entry in entries if entry.distribution == decoder.distribution]
    if own and decoder.key not in [entry.name for entry in own if entry.kind != "plugin"]:
        raise ConfigError(
            f"{decoder.distribution} {own[0].version} is installed, and is another package. "
            f"Received: name={decoder.name!r}. Choose another one."
        )
    for entry in entries:
        taken = entry.kind in ("decoder", "task") and entry.name == decoder.key
        if taken and entry not in own:
            raise ConfigError(
                f"{entry.distribution} has a {entry.kind} of this name. "
                f"Received: name={decoder.name!r}. Choose another one."
            )
