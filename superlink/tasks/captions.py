"""Grounded captions as a conversation: a description, and a route behind what it names."""

from __future__ import annotations

import random
from typing import Any

from ..data.schema import CaptionedImage
from ..interfaces import IMAGE, Message, Sample
from .phrasing import check_token, choose_template, escape_controls
from .targets import object_target

__all__ = ["caption_conversation", "caption_target"]

_TASK = "grounded_caption"


def caption_conversation(
    record: CaptionedImage,
    rng: random.Random,
    training: bool,
    *,
    variety: float = 0.3,
    answer_variety: float = 0.05,
    token: str = "[DET]",
    masks: bool | None = None,
) -> Sample:
    """Ask for a description, and answer with the caption: a route for each phrase of objects.

    What looks like a control token in a caption is escaped. A caption that names no object has
    neither a route nor a target.

    Args:
        record: The image and its caption in parts.
        rng: Where all random draws come from.
        training: Whether to vary question and answer.
        variety: Share of training questions in other words than the first template.
        answer_variety: Share of training answers in which a sentence stands around the caption.
        token: The routing token behind each phrase.
        masks: Whether the data set has masks; None: each record tells.
    """
    check_token(token)
    varied = training and rng.random() < variety
    varied_answer = training and rng.random() < answer_variety
    question = choose_template(_TASK, "describe", rng, varied=varied)
    answer = choose_template(_TASK, "answer", rng, varied=varied_answer)
    image = record.open()
    size = (image.height, image.width)
    return Sample(
        messages=(
            Message("user", (IMAGE, question)),
            Message("assistant", answer.format(caption=_marked(record, token))),
        ),
        images=(image,),
        targets=(caption_target(record, size, masks=masks),) if record.objects else (),
        key=record.key,
    )


def caption_target(
    record: CaptionedImage, size: tuple[int, int], *, masks: bool | None = None
) -> dict[str, Any]:
    """The target of a call whose routes are the phrases of a caption; see `object_target`.

    Args:
        record: The image and its caption; the phrases that name objects are the names.
        size: Height and width of the image.
        masks: Whether the data set has masks. None: it has where each object has one.
    """
    named = [(text.strip(), objects) for text, objects in record.parts if objects]
    labels = [label for label, (_, objects) in enumerate(named) for _ in objects]
    phrases = [text for text, _ in named]
    return object_target(record.objects, phrases, labels, size=size, masks=masks)


def _marked(record: CaptionedImage, token: str) -> str:
    """The caption with `token` behind each phrase that names objects."""
    parts = ((escape_controls(text, token), objects) for text, objects in record.parts)
    return "".join(f"<p>{text}</p>{token}" if objects else text for text, objects in parts)
