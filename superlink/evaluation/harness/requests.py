"""What a harness asks, in its own plain form, answered by a model of superlink."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any

from ...errors import InputError
from ...interfaces import IMAGE, Message, Reply, Sample
from ...interfaces.images import open_image
from ..answering import Answering

__all__ = ["ChatRequest", "answer_requests"]

_SAMPLING = ("temperature", "top_p", "top_k")


@dataclass(frozen=True)
class ChatRequest:
    """One question of a benchmark."""

    messages: Sequence[Mapping[str, Any]]
    """`{"role", "content"}` each, where `content` is text or a list of `{"type": "text", "text"}`
    and `{"type": "image", "url"}`; `url` is a picture or a path."""
    options: Mapping[str, Any]
    """How to write, with the names of transformers' `generate`, and `until`: texts that the answer
    ends before."""
    key: str = ""
    """Names the question in errors."""

    def sample(self) -> Sample:
        """The conversation as superlink takes it.

        Raises:
            InputError: It holds something else than text and images.
        """
        images, messages = [], []
        for message in self.messages:
            content, parts = message["content"], []
            for part in (
                [{"type": "text", "text": content}] if isinstance(content, str) else content
            ):
                if part["type"] not in ("text", "image"):
                    raise InputError(
                        "Models of superlink read text and images. Received: a part of the type "
                        f"{part['type']!r}, key={self.key!r}. Choose a task without it."
                    )
                parts.append(part["text"] if part["type"] == "text" else IMAGE)
                images += [open_image(part["url"])] if part["type"] == "image" else []
            messages.append(Message(message["role"], tuple(parts)))
        return Sample(tuple(messages), tuple(images), key=self.key)


def answer_requests(
    model: Answering,
    requests: Iterable[ChatRequest],
    *,
    batch_size: int = 1,
    max_new_tokens: int = 1024,
    **options: Any,
) -> Iterator[tuple[str, Reply]]:
    """The text of each answer, and the reply that it comes from, in the order of the requests.

    As harnesses have it, a temperature above 0 draws tokens, and all else is greedy.

    Args:
        model: What answers.
        requests: The questions; neighbours that are written alike are answered together.
        batch_size: Questions answered together at most.
        max_new_tokens: Where a request does not say how long its answer may be.
        options: Of `SuperLinkModel.answer`, as `max_routes=0`.
    """
    for _, alike in groupby(
        requests, key=lambda request: sorted(map(repr, request.options.items()))
    ):
        for batch in _batches(alike, batch_size):
            asked = batch[0].options
            until = asked.get("until") or ()
            replies = model.answer(
                [request.sample() for request in batch],
                max_new_tokens=asked.get("max_new_tokens") or max_new_tokens,
                **_settings(asked),
                **options,
            )
            for reply in replies:
                yield _ended(reply.text, [until] if isinstance(until, str) else until), reply


def _settings(asked: Mapping[str, Any]) -> dict[str, Any]:
    """How the next token is picked, without what only repeats the default."""
    beams = asked.get("num_beams") or 1
    found: dict[str, Any] = {} if beams == 1 else {"num_beams": beams}
    if (asked.get("temperature") or 0) > 0:
        found |= {"do_sample": True}
        found |= {name: asked[name] for name in _SAMPLING if asked.get(name) is not None}
    return found


def _batches(requests: Iterable[ChatRequest], size: int) -> Iterator[list[ChatRequest]]:
    """As many at a time as are answered together: the pictures of a benchmark are too many."""
    left = iter(requests)
    while some := list(islice(left, size)):
        yield some


def _ended(text: str, until: Iterable[str]) -> str:
    """The text before the first of the strings that end it."""
    for string in filter(None, until):
        text = text.partition(string)[0]
    return text
