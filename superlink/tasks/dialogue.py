"""Dialogues as they were written down, for what a multimodal LLM learns without any decoder."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

from ..data.schema import Dialogue
from ..errors import InputError
from ..interfaces import IMAGE, Message, Sample
from ..interfaces.images import open_image
from ..interfaces.structures import ImagePart
from ..link.escaping import Escaper
from ..link.routing import PHRASE_MARKS, STANDARD_TOKENS

__all__ = ["dialogue_conversation"]

_MARK = "<image>"
_CONTROLS = Escaper((*PHRASE_MARKS, *STANDARD_TOKENS))


def dialogue_conversation(record: Dialogue, rng: random.Random, training: bool) -> Sample:
    """The turns of a dialogue as messages; each `<image>` of the user is the place of an image.

    Nothing is drawn, and there are no targets: what looks like a routing token or a phrase mark in
    an answer, as `<p>` in a piece of HTML, is escaped and calls nobody.

    Args:
        record: The dialogue.
        rng: Unused.
        training: Unused.

    Raises:
        InputError: An image stands in another turn than the user's, or cannot be read; the
            dialogue begins with an answer, or nobody says anything.
    """
    roles = [role for role, _ in record.turns]
    asked = [role for role in roles if role != "system"]
    if asked[:1] != ["user"]:
        raise InputError(
            "A dialogue begins with a turn of the user, behind the system's if there is one. "
            f"Received: {roles} in {record.key!r}"
        )
    messages = []
    for role, text in record.turns:
        if role == "user":
            messages.append(Message(role, tuple(_parts(text))))
        elif _MARK in text:
            raise InputError(
                f"{_MARK} stands for an image in the turns of the user alone. "
                f"Received: one in a turn of the {role} in {record.key!r}"
            )
        else:
            messages.append(Message(role, _CONTROLS.escape(text) if role == "assistant" else text))
    images = tuple(open_image(image) for image in record.images)
    return Sample(messages=tuple(messages), images=images, key=record.key)


def _parts(text: str) -> Iterator[str | ImagePart]:
    """Text and images in their order; the line break beside an image belongs to its mark."""
    for part in re.split(rf"(\n?{_MARK}\n?)", text):
        if _MARK in part:
            yield IMAGE
        elif part:
            yield part
