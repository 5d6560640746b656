"""From a prompt to a sample, and from what the LLM wrote to what a user reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from PIL import Image
from torch import Tensor

from .errors import InputError
from .interfaces import (
    IMAGE,
    REGION,
    REGION_MARK,
    Call,
    Event,
    Message,
    Part,
    Prediction,
    Region,
    Reply,
    ReplyEvent,
    ResultEvent,
    Route,
    RouteEvent,
    RouteFailure,
    Sample,
    TextEvent,
)
from .link import ParsedText, RoutingVocabulary

__all__ = [
    "Answers",
    "Told",
    "build_reply",
    "check_options",
    "check_pixels",
    "check_prompt",
    "marked_parts",
    "sample_from_prompt",
]


@dataclass
class Answers:
    """What the LLM wrote for a batch, generated or forced."""

    texts: list[str] = field(default_factory=list)
    """What a user reads, for each row."""
    raws: list[str] = field(default_factory=list)
    """What the LLM wrote, for each row."""
    routes: list[Route] = field(default_factory=list)
    """The routes of all rows."""
    states: list[Tensor] = field(default_factory=list)
    """(Q, C) for each route."""
    complete: list[bool] = field(default_factory=list)
    """Whether the answer was written to its end, for each row."""
    conversations: list[Sequence[Message]] = field(default_factory=list)
    """The messages of each row with the answer, whose text does not matter, as the last."""


@dataclass
class Told:
    """What a stream has told already."""

    vocabulary: RoutingVocabulary
    """Knows what a user never sees."""
    turn: int
    """Index of the answer in its conversation."""
    text: str = ""
    routes: int = 0

    def news(self, parsed: ParsedText, num_states: int) -> Iterator[Event]:
        """The events since the last call, of the answer so far and the states that it has.

        Text that may still change waits: half of a letter of several bytes, or of a special token.
        """
        whole = parsed.text.rstrip("\ufffd")
        whole = whole[: len(whole) - self.vocabulary.held_back(whole)]
        if whole.startswith(self.text) and whole != self.text:
            yield TextEvent(whole[len(self.text) :])
            self.text = whole
        for route in parsed.routes[self.routes : num_states]:
            yield RouteEvent(Route(0, self.turn, *route))
            self.routes += 1

    def results(self, reply: Reply) -> Iterator[Event]:
        """The events of a finished reply."""
        if reply.text != self.text and reply.text.startswith(self.text):
            yield TextEvent(reply.text[len(self.text) :])
        for call, prediction in zip(reply.calls, reply.predictions, strict=True):
            yield ResultEvent(call, prediction)
        yield ReplyEvent(reply)


def sample_from_prompt(
    prompt: str,
    images: Sequence[Image.Image] = (),
    *,
    regions: Region | Sequence[Region] = (),
    answer: str | None = None,
    allow_control: bool = False,
    before: Sample | None = None,
) -> Sample:
    """A question, its images first, alone or as the next one of a conversation.

    Args:
        prompt: What the user asks.
        images: What the question is about.
        regions: What each `<region>` in the prompt stands for, one or several. Without any,
            `<region>` is text.
        answer: The answer template of forced routing, as `<p>apple</p>[DET]`.
        allow_control: Whether routing tokens in `prompt` are meant as such.
        before: The conversation that the question goes on with.

    Raises:
        InputError: The prompt says nothing, or `regions` are none, or not as many as its marks, or
            shares of an image.
    """
    check_prompt(prompt)
    regions = tuple(regions) if isinstance(regions, Iterable) else (regions,)
    if wrong := [region for region in regions if not isinstance(region, Region)]:
        raise InputError(
            "Regions are made by Region.point, .box, .scribble, .circle, .polygon, .from_mask or "
            f".parse. Received: {wrong[0]!r}"
        )
    before = before or Sample(())
    parts = (*[IMAGE] * len(images), *marked_parts(prompt, len(regions)))
    messages = [*before.messages, Message("user", parts, allow_control=allow_control)]
    if answer is not None:
        messages.append(Message("assistant", answer))
    sample = Sample(
        tuple(messages),
        (*before.images, *images),
        key=prompt,
        regions=(*before.regions, *regions),
    )
    for region in sample.regions[len(before.regions) :]:
        image = sample.images[region.image or 0]
        check_pixels(region, (image.height, image.width))
    return sample


def check_options(options: Mapping[str, Any]) -> None:
    """Raise `InputError` where an option is an argument of a question, spelt otherwise."""
    for name in options:
        if meant := {"images": "image", "region": "regions"}.get(name):
            raise InputError(f"A question has no option {name!r}. Did you mean {meant!r}?")


def check_pixels(region: Region, size: tuple[int, int]) -> None:
    """Raise `InputError` where a user most likely gave shares of an image (H, W): all of the region
    lies in the first pixel, and it is a box, or its points are not whole."""
    values = [value for point in region.points for value in point]
    broken = region.kind == "box" or not all(float(value).is_integer() for value in values)
    if values and broken and max(values) <= 1 and max(size) > 2:
        raise InputError(
            "Coordinates are pixels, not shares of the image. Received: a "
            f"{region.kind} with {region.points}, on an image of {size[1]} x {size[0]}"
        )


def check_prompt(text: str) -> None:
    """Raise `InputError` where a text says nothing, or holds halves of characters, which terminals
    hand on for bytes that are none."""
    if not text.strip() or any("\ud800" <= character <= "\udfff" for character in text):
        raise InputError(
            "Expected a prompt that asks something, such as 'Find: apple', in text that UTF-8 can "
            f"write. Received: {text!r}"
        )


def marked_parts(text: str, num_regions: int) -> tuple[Part, ...]:
    """A text that a user typed, with a `REGION` in the place of each `<region>`.

    Raises:
        InputError: It has not as many marks as there are regions.
    """
    if not num_regions:
        return (text,)
    pieces = text.split(REGION_MARK)
    if len(pieces) - 1 != num_regions:
        raise InputError(
            f"A question has one {REGION_MARK} for each region. Received: {len(pieces) - 1} in "
            f"{text!r}, and {num_regions} regions. Write {REGION_MARK} where each is meant."
        )
    between = (part for piece in pieces for part in (piece, REGION))
    return tuple(part for part in (*between,)[:-1] if part)


def build_reply(
    row: int,
    answers: Answers,
    served: Sequence[tuple[Call, Prediction]],
    failures: Sequence[RouteFailure],
) -> Reply:
    """The reply of one row of a batch; its calls count the routes of this reply alone."""
    mine = [index for index, route in enumerate(answers.routes) if route.row == row]
    local = {index: i for i, index in enumerate(mine)}

    def own(call: Call) -> Call:
        return replace(call, row=0, routes=tuple(local[index] for index in call.routes))

    return Reply(
        text=answers.texts[row],
        raw=answers.raws[row],
        complete=answers.complete[row],
        routes=tuple(replace(answers.routes[index], row=0) for index in mine),
        calls=tuple(own(call) for call, _ in served if call.row == row),
        predictions=tuple(prediction for call, prediction in served if call.row == row),
        failures=tuple(
            RouteFailure(own(failure.call), failure.reason)
            for failure in failures
            if failure.call.row == row
        ),
    )
