"""How a chat is shown: what was found for each route, and what a reply lacks."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import dataclass

import pytest
import torch
from PIL import Image

from superlink.cli.transcript import JsonTranscript, TextTranscript
from superlink.interfaces import (
    Call,
    ImagePrediction,
    InstancePrediction,
    Prediction,
    Reply,
    ReplyEvent,
    ResultEvent,
    Route,
    RouteEvent,
    RouteFailure,
    TextEvent,
)

DET = Route(0, 1, "[DET]", "apple", (0, 5))
GRD = Route(0, 1, "[GRD]", "", (5, 5))


@dataclass(frozen=True)
class Angle(Prediction):
    """A result of another kind."""

    degrees: int

    def to_json(self):
        return {"degrees": self.degrees}

    def draw(self, canvas):
        raise NotImplementedError


def found(*scores, labels=None, phrases=("apple", "")):
    count = len(scores)
    return InstancePrediction(
        torch.zeros(count, 4), torch.tensor(scores), torch.tensor(labels or [0] * count), phrases
    )


@pytest.fixture
def shown(capsys):
    """Lines of stdout, and stderr, for these events."""

    def show(*events, transcript=None):
        transcript = transcript or TextTranscript(0.25, echo=True)
        for event in events:
            transcript.event(event)
        captured = capsys.readouterr()
        return captured.out.splitlines(), captured.err

    return show


def test_routes_stand_where_they_came_and_results_below(shown):
    prediction = found(0.5, 0.88, 0.1, 0.93, labels=[1, 0, 0, 0])
    lines, _ = shown(
        TextEvent("apple"),
        RouteEvent(DET),
        TextEvent(" it"),
        RouteEvent(GRD),
        ResultEvent(Call(0, 1, "boxes", (0, 1), 0), prediction),
        ReplyEvent(Reply("apple it", "", (DET, GRD))),
    )
    assert lines == [
        "apple[DET] it[GRD]",
        "[DET] apple: 2 found, 0.93 0.88",
        "[GRD]: 1 found, 0.50",
    ]


def test_many_scores_are_cut(shown):
    prediction = found(*[0.9] * 12, phrases=("apple",))
    lines, _ = shown(RouteEvent(DET), ResultEvent(Call(0, 1, "boxes", (0,), 0), prediction))
    assert lines[-1] == "[DET] apple: 12 found, " + "0.90 " * 10 + "..."


def test_other_predictions_are_json(shown):
    lines, _ = shown(RouteEvent(DET), ResultEvent(Call(0, 1, "turns", (0,), 0), Angle(3)))
    assert lines[1].startswith("[DET]:") and json.loads("".join(lines[1:])[6:]) == {"degrees": 3}


def test_pictures_that_were_made_are_a_line_each(shown):
    pictures = tuple(Image.new("RGB", size) for size in ((8, 6), (4, 4)))
    prediction = ImagePrediction(pictures, ("", ""), (5, 6))
    routes = [RouteEvent(Route(0, 1, "[GEN]", "", (0, 0))) for _ in pictures]
    lines, _ = shown(*routes, ResultEvent(Call(0, 1, "art", (0, 1), None), prediction))
    assert lines[1:] == [
        "[GEN] made a picture of 8 x 6, seed 5",
        "[GEN] made a picture of 4 x 4, seed 6",
    ]


def test_what_a_reply_lacks_is_told(shown):
    failure = RouteFailure(Call(0, 1, "boxes", (0,), None), "[DET] needs an image")
    lines, errors = shown(ReplyEvent(Reply("", "", failures=(failure,), complete=False)))
    assert lines == ["(nothing)"]
    assert "the answer was cut" in errors and "[DET] needs an image" in errors


def test_error_within_an_answer_begins_a_line_and_forgets_its_routes(shown):
    transcript = TextTranscript(0.25, echo=False)
    transcript.line("never shown")
    lines, _ = shown(TextEvent("app"), RouteEvent(DET), transcript=transcript)
    assert lines == ["app[DET]"]
    transcript.error("stopped")
    call = Call(0, 1, "boxes", (0,), 0)
    lines, errors = shown(RouteEvent(GRD), ResultEvent(call, found(0.9)), transcript=transcript)
    assert errors == "error: stopped\n" and lines == ["", "[GRD]", "[GRD]: 1 found, 0.90"]


@pytest.mark.parametrize(
    ("encoding", "expected"), [("ascii", "?? [red] ?"), ("utf-8", "苹果 [red] ?")]
)
def test_text_that_the_terminal_cannot_show_ends_nothing(monkeypatch, encoding, expected):
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", out)
    TextTranscript(0.25, echo=True).line("苹果 [red] \udcff")
    out.flush()
    assert out.buffer.getvalue().decode(encoding) == f"> {expected}\n"


def test_json_is_ascii_and_whole(shown):
    lines, _ = shown(
        TextEvent("苹果\n"),
        ResultEvent(Call(0, 1, "boxes", (0,), 0), found(0.9)),
        ReplyEvent(Reply("苹果", "", (DET,))),
        transcript=JsonTranscript(),
    )
    events = [json.loads(line) for line in lines]
    assert [event["event"] for event in events] == ["text", "result", "reply"]
    assert events[0]["text"] == "苹果\n" and all(line.isascii() for line in lines)
