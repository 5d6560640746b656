"""Where answers stand: the token spans of the assistant's messages, under any chat template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image
from torch import Tensor

from ..errors import InputError
from ..interfaces import Backbone, Message

__all__ = ["Conversation", "answer_spans"]


@dataclass(frozen=True)
class Conversation:
    """A conversation as the backbone has encoded it."""

    messages: Sequence[Message]
    """The messages, with slots and escapes."""
    images: Sequence[Image.Image]
    """Their images."""
    ids: Tensor
    """(T,) the ids of the whole conversation, without padding."""
    key: str
    """A name for errors."""


def answer_spans(backbone: Backbone, conversation: Conversation) -> list[tuple[int, int]]:
    """First and last + 1 token of each message of the assistant.

    The generation prompt belongs to the question, and what ends a turn to the answer.

    Raises:
        InputError: The chat template changes earlier text when a message is added.
    """
    whole = backbone.render(conversation.messages)
    spans = []
    for turn, message in enumerate(conversation.messages):
        if message.role == "assistant":
            start = _cut(backbone, conversation, whole, turn, prompt=True)
            spans.append((start, _cut(backbone, conversation, whole, turn + 1, prompt=False)))
    return spans


def _cut(
    backbone: Backbone, conversation: Conversation, whole: str, kept: int, *, prompt: bool
) -> int:
    """How many tokens the first `kept` messages take."""
    before, after = conversation.messages[:kept], conversation.messages[kept:]
    prefix = backbone.render(before, add_generation_prompt=prompt)
    if whole.startswith(prefix):
        if not any(message.num_images for message in after):
            # Text alone is cheap to encode again; images are not.
            rest = backbone.tokenize(whole[len(prefix) :])
            length = len(conversation.ids) - len(rest)
            if length >= 0 and conversation.ids[length:].tolist() == rest:
                return length
        images = conversation.images[: sum(message.num_images for message in before)]
        ids = backbone.encode([prefix], [images])["input_ids"][0]
        if ids.tolist() == conversation.ids[: len(ids)].tolist():
            return len(ids)
    raise InputError(
        "The chat template changes earlier text when a message is added, so that the tokens of an "
        "answer cannot be told. Use a template that only appends. "
        f"Received: key={conversation.key!r}, message {kept}"
    )
