"""`superlink geneval`: draw the prompts of GenEval for its scorer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from .output import quiet_libraries, stderr, stdout

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command()
def geneval(
    model: Annotated[Path, typer.Argument(help="Checkpoint folder.")],
    prompts: Annotated[Path, typer.Argument(help="GenEval's evaluation_metadata.jsonl.")],
    output: Annotated[Path, typer.Option(help="Folder for the pictures: empty, or begun before.")],
    images: Annotated[int, typer.Option(min=1, help="Pictures of each prompt.")] = 4,
    seed: Annotated[int, typer.Option(help="Of the pictures; each has another one.")] = 0,
    routing: Annotated[
        Literal["generated", "forced"],
        typer.Option(help="The LLM calls the decoder itself, or the answer is given."),
    ] = "generated",
    decoder: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="What a decoder is asked for: guidance_scale=7.5."),
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Tokens to write at most.")] = 64,
    device: Annotated[str, typer.Option(help="Where to run, as torch names it: cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch.")] = 1,
) -> None:
    """Draw the prompts of GenEval into the folders that its scorer reads.

    A run that was stopped goes on when the command is given again.

    Example: superlink geneval MODEL evaluation_metadata.jsonl --output pictures
    """
    quiet_libraries(threads)
    from rich.progress import track

    from ..build import load  # here, as the help and mistakes in the arguments need none of it
    from ..evaluation.answering import Asking
    from ..evaluation.geneval import draw_prompts, read_prompts
    from ..evaluation.identity import folder_digest
    from .making import options_by_decoder

    asked = read_prompts(prompts)
    digest = folder_digest(model)
    linked = load(model, device=device)
    options = options_by_decoder(linked, decoder or (), flag="--decoder")
    missing = draw_prompts(
        Asking(linked, options),
        asked,
        output,
        routing=routing,
        num_images=images,
        seed=seed,
        max_new_tokens=max_new_tokens,
        identity={"model": digest, "decoder options": options},
        progress=lambda left: track(left, "drawing", console=stderr),
    )
    stdout.print(f"{len(asked) * images - missing} pictures in {output}", soft_wrap=True)
    if missing:
        stdout.print(f"{missing} answers had no picture: GenEval's scorer does not count them.")
