"""How a chat is shown: in words, or as one JSON object a line."""

from __future__ import annotations

import json
from typing import Any, Protocol

import typer
from rich.text import Text

from ..interfaces import (
    Event,
    ImagePrediction,
    InstancePrediction,
    Reply,
    ReplyEvent,
    ResultEvent,
    Route,
    RouteEvent,
    TextEvent,
)
from .making import picture_lines
from .output import stderr, stdout
from .predict import show_gaps

__all__ = ["JsonTranscript", "TextTranscript", "Transcript"]

_MOST_SCORES = 10


class Transcript(Protocol):
    """Where a chat tells what happens."""

    def line(self, text: str) -> None:
        """What the user typed, where no terminal shows it."""

    def event(self, event: Event) -> None:
        """Something happened while the model answers."""

    def note(self, kind: str, text: str, **values: Any) -> None:
        """A command did something: `text` for people, `kind` and `values` for machines."""

    def error(self, reason: str) -> None:
        """Something could not be done."""


class TextTranscript:
    """Text as it comes, with its routes; then a line for what was found for each route.

    Args:
        threshold: Lowest score of an instance that is counted.
        echo: Whether to show what the user typed.
    """

    def __init__(self, threshold: float, *, echo: bool) -> None:
        self._threshold, self._echo = threshold, echo
        self._routes: list[Route] = []
        self._open = False  # whether text stands on the last line

    def line(self, text: str) -> None:
        """See `Transcript`."""
        if self._echo:
            _print(f"> {text}")

    def event(self, event: Event) -> None:
        """See `Transcript`."""
        match event:
            case TextEvent(text):
                self._write(text)
            case RouteEvent(route):
                self._routes.append(route)
                self._write(route.token, "cyan")
            case ResultEvent(call, prediction):
                self._end_line()
                routes = [self._routes[index] for index in call.routes]
                if isinstance(prediction, InstancePrediction):
                    self._found(routes, prediction.above(self._threshold))
                elif isinstance(prediction, ImagePrediction):
                    for route, line in zip(routes, picture_lines(prediction), strict=True):
                        _print(f"{route.token} {line}")
                else:
                    stdout.print(Text(f"{routes[0].token}:"), end=" ")
                    stdout.print_json(data=prediction.to_json())
            case ReplyEvent(reply):
                self._reply(reply)

    def note(self, kind: str, text: str, **values: Any) -> None:
        """See `Transcript`."""
        self._end_line()
        if kind == "hint":  # no part of the conversation
            stderr.print(Text(text, "yellow"), soft_wrap=True)
        else:
            _print(text, "dim")

    def error(self, reason: str) -> None:
        """See `Transcript`."""
        self._end_line()
        self._routes = []
        stderr.print(Text(f"error: {reason}", style="red"), soft_wrap=True)

    def _write(self, text: str, style: str = "") -> None:
        _print(text, style, end="")
        self._open = True

    def _end_line(self) -> None:
        if self._open:
            stdout.print()
        self._open = False

    def _found(self, routes: list[Route], found: InstancePrediction) -> None:
        """`[DET] apple: 2 found, 0.93 0.88`, for each route."""
        for label, route in enumerate(routes):
            scores = found.scores[found.labels == label].sort(descending=True).values.tolist()
            shown = " ".join(f"{score:.2f}" for score in scores[:_MOST_SCORES])
            more = " ..." if len(scores) > _MOST_SCORES else ""
            name = f"{route.token} {route.phrase}".rstrip()
            counted = f"{name}: {len(scores)} found" + (f", {shown}{more}" if scores else "")
            _print(counted)

    def _reply(self, reply: Reply) -> None:
        if not (reply.text or reply.routes):
            self._write("(nothing)", "dim")
        self._end_line()
        self._routes = []
        show_gaps(reply)


class JsonTranscript:
    """One JSON object a line, with what happened as `event`."""

    def line(self, text: str) -> None:
        """See `Transcript`."""
        self._write("line", text=text)

    def event(self, event: Event) -> None:
        """See `Transcript`."""
        match event:
            case TextEvent(text):
                self._write("text", text=text)
            case RouteEvent(route):
                self._write("route", token=route.token, phrase=route.phrase, span=[*route.span])
            case ResultEvent(call, prediction):
                self._write(
                    "result", decoder=call.decoder, routes=[*call.routes], **prediction.to_json()
                )
            case ReplyEvent(reply):
                self._write("reply", **reply.to_json())

    def note(self, kind: str, text: str, **values: Any) -> None:
        """See `Transcript`."""
        self._write(kind, **(values or {"text": text}))

    def error(self, reason: str) -> None:
        """See `Transcript`."""
        self._write("error", reason=reason)

    def _write(self, kind: str, **values: Any) -> None:
        typer.echo(json.dumps({"event": kind, **values}))


def _print(text: str, style: str = "", end: str = "\n") -> None:
    """Print a text; what the terminal has no characters for becomes question marks."""
    shown = text.encode(stdout.encoding, "replace").decode(stdout.encoding)
    stdout.print(Text(shown, style), end=end, soft_wrap=True)
