"""Grounding as a conversation: an expression or a question, and one route to what it means."""

from __future__ import annotations

import random
from typing import Any

import torch

from ..data.flipping import sometimes_mirrored
from ..data.schema import ReferringImage
from ..interfaces import IMAGE, Message, Sample
from .phrasing import check_token, choose_template, escape_controls
from .targets import object_target

__all__ = ["grounding_conversation", "grounding_target"]

_TASK = "grounding"


def grounding_conversation(
    record: ReferringImage,
    rng: random.Random,
    training: bool,
    *,
    variety: float = 0.3,
    answer_variety: float = 0.3,
    token: str = "[GRD]",
    restate: bool = False,
    masks: bool | None = None,
    flip: float = 0.0,
) -> Sample:
    """Ask where something is, and answer with one route.

    Where the image shows no such thing, the answer says so: without a route, and without a target.

    Args:
        record: The image and what is asked for; a sentence or question is asked as it is.
        rng: Where all random draws come from.
        training: Whether to vary question and answer.
        variety: Share of training questions in other words than the first template.
        answer_variety: Share of training answers in other words than the first template.
        token: The routing token.
        restate: Whether the answer says again what is asked for, as the phrase of its route: a
            small LLM learns to carry words into a route where it writes them. Otherwise the route
            has no phrase.
        masks: Whether the data set has masks; None: each record tells.
        flip: Share of training images that are mirrored, with left and right exchanged in words.
    """
    check_token(token)
    if training:
        record = sometimes_mirrored(record, rng, flip)
    asks = record.is_sentence
    if asks is None:
        asks = record.expression.rstrip().endswith("?")
    varied = training and rng.random() < variety
    varied_answer = training and rng.random() < answer_variety
    question = choose_template(_TASK, "question" if asks else "expression", rng, varied=varied)
    purpose = "found" if record.objects else "nothing"
    answer = choose_template(_TASK, purpose, rng, varied=varied_answer)
    phrase = _worded(record.expression) if restate else ""
    asked = record.expression.strip() if asks else _worded(record.expression)
    route = f"<p>{escape_controls(phrase, token)}</p>{token}" if phrase else token
    image = record.open()
    size = (image.height, image.width)
    return Sample(
        messages=(
            Message("user", (IMAGE, question.format(expression=asked))),
            Message("assistant", answer.format(route=route)),
        ),
        images=(image,),
        targets=(grounding_target(record, size, phrase, masks=masks),) if record.objects else (),
        key=record.key,
    )


def grounding_target(
    record: ReferringImage,
    size: tuple[int, int],
    phrase: str = "",
    *,
    masks: bool | None = None,
) -> dict[str, Any]:
    """The target of a call with one route: all that the expression means, and `void` (H, W).

    The one name is the phrase of the route; see `object_target` for the other keys.
    """
    labels = [0] * len(record.objects)
    target = object_target(record.objects, (phrase,), labels, size=size, masks=masks)
    if record.void is not None:
        target["void"] = torch.from_numpy(record.void)
    return target


def _worded(expression: str) -> str:
    """The expression as it stands in a sentence: without blanks around it, and a full stop."""
    return expression.strip().rstrip(".")
