"""Salient and camouflaged objects as a conversation: one name, and one route to one mask."""

from __future__ import annotations

import random

from ..data.schema import AnnotatedImage
from ..errors import InputError
from ..interfaces import IMAGE, Message, Sample
from .detection import detection_target
from .phrasing import check_token, choose_template, class_answer

__all__ = ["salience_conversation"]

_TASK = "salient_object"


def salience_conversation(
    record: AnnotatedImage,
    rng: random.Random,
    training: bool,
    *,
    variety: float = 0.3,
    answer_variety: float = 0.05,
    token: str = "[SEG]",
) -> Sample:
    """Ask for the one category of the record, and answer with one route, whatever is there.

    The target is that of detection, always with `masks` (N, H, W).

    Args:
        record: The annotated image; its only category is the name that is asked for.
        rng: Where all random draws come from.
        training: Whether to vary question and answer.
        variety: Share of training questions in free wording.
        answer_variety: Share of training answers with words around the route.
        token: The routing token.

    Raises:
        InputError: The record has no or several categories, or an object without a mask.
    """
    check_token(token)
    if len(record.categories) != 1:
        raise InputError(
            "A set of salient objects has one category, as 'salient object'. "
            f"Received: {record.categories} in {record.source}"
        )
    varied = training and rng.random() < variety
    varied_answer = training and rng.random() < answer_variety
    (name,) = record.categories
    question = choose_template(_TASK, "find", rng, varied=varied).format(name=name)
    answer = class_answer(_TASK, [name], token, rng, varied=varied_answer)
    image = record.open()
    size = (image.height, image.width)
    return Sample(
        messages=(Message("user", (IMAGE, question)), Message("assistant", answer)),
        images=(image,),
        targets=(detection_target(record, [name], size, masks=True),),
        key=record.key,
    )
