"""`python -m superlink_mmdet`: tools beside the decoders."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from superlink.cli.output import errors_as_panels

from .checkpoints import Conversion
from .checkpoints import convert as convert_checkpoint

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_show_locals=False)


@app.callback()
def main() -> None:
    """Tools of superlink-mmdet."""


@app.command()
def convert(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint of mmdet: model.pth.")],
    output: Annotated[Path, typer.Argument(help="The file to write: model.safetensors.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what was made as JSON, and nothing else.")
    ] = False,
) -> None:
    """Make mmdet's pretrained Grounding DINO the first weights of a decoder.

    Nothing in the checkpoint is run. A recipe names the result beside the decoder:
    {name: mmdet.grounding_dino, weights: model.safetensors, config: {...}}. Example:
    python -m superlink_mmdet convert grounding_dino_swin-t.pth grounding_dino.safetensors
    """
    with errors_as_panels(show_traceback=False):
        made = convert_checkpoint(checkpoint, output)
    typer.echo(json.dumps(asdict(made), indent=2) if as_json else _text(made))


def _text(made: Conversion) -> str:
    lines = [f"{made.output}: {sum(made.kept.values())} tensors"]
    lines += [f"  {part} {number}" for part, number in made.kept.items()]
    lines += [f"changed: {change}" for change in made.changed]
    lines += [f"dropped: {one.group} {one.tensors}: {one.reason}" for one in made.dropped]
    return "\n".join([*lines, f"config of the decoder: {json.dumps(made.config)}"])


if __name__ == "__main__":
    app(prog_name="python -m superlink_mmdet")
