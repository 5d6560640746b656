"""`superlink chat`: a conversation in the terminal, or line by line from a script."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from ..errors import ConfigError
from ..interfaces.images import open_image
from .making import options_by_decoder
from .output import quiet_libraries, stdout

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command()
def chat(
    model: Annotated[Path, typer.Argument(help="Checkpoint folder.")],
    image: Annotated[
        list[Path] | None, typer.Option(help="Picture to begin with; several are possible.")
    ] = None,
    system: Annotated[
        str | None, typer.Option(help="What the model is told before the first question.")
    ] = None,
    saved: Annotated[
        Path | None, typer.Option("--load", help="Go on with what /save wrote, a .json.")
    ] = None,
    output: Annotated[
        Path, typer.Option(help="Folder for the pictures of replies, 001.png and so on.")
    ] = Path("chat"),
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Lowest score that is counted and drawn.")
    ] = 0.25,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Tokens of an answer at most.")] = 128,
    option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="What a decoder is asked for in each reply: seed=1, size=64x64.",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="Where to run, as torch names it: cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch.")] = 1,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a line, and nothing else.")
    ] = False,
) -> None:
    """Talk with a model about pictures, turn by turn.

    Each line is a question, answered with all that was said before; or a command. /image FILE shows
    a picture, /region WHERE says what the next <region> of a question means, /undo, /clear and
    /save FILE do what they say, /help lists them all, and /quit ends. What was found is drawn into
    numbered pictures.

    Without a terminal the lines come from the standard input, as in
    `superlink chat demo/model < lines.txt`; what is wrong with one of them is told, and the chat
    goes on.

    Example: superlink chat demo/model --image demo/scene.png
    """
    if saved is not None and system is not None:
        raise ConfigError("A conversation of --load has its own system message. Leave --system out")
    images = [open_image(path) for path in image or ()]
    quiet_libraries(threads)
    from ..build import load  # here, as the help and mistakes in the arguments need none of it
    from ..chat import Chat
    from .conversation import Conversation
    from .transcript import JsonTranscript, TextTranscript

    linked = load(model, device=device)
    asked = options_by_decoder(linked, option or (), progress=not as_json)
    typed = sys.stdin.isatty()
    conversation = Conversation(
        Chat(linked, system=system) if saved is None else Chat.load(saved, linked),
        JsonTranscript() if as_json else TextTranscript(threshold, echo=not typed),
        output,
        threshold,
        {"max_new_tokens": max_new_tokens, "decoder_options": asked},
    )
    conversation.images += images
    for line in _typed_lines("" if as_json else "> ") if typed else _read_lines():
        if not conversation.take(line):
            break


def _typed_lines(prompt: str) -> Iterator[str]:
    """The lines that somebody types, to the end of the input; an interrupt gives up a line."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - its import gives `input` a history and arrow keys
    if prompt:
        stdout.print("Ask, or /help.", style="dim")
    while True:
        try:
            yield input(prompt)
        except EOFError:
            return
        except KeyboardInterrupt:
            stdout.print()


def _read_lines() -> Iterator[str]:
    """The lines of the standard input, in UTF-8; bytes that are none stay recognisable."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8-sig", errors="surrogateescape")
    for line in sys.stdin:
        yield line.rstrip("\r\n")
