"""Editing as a conversation: an image with an instruction, and one route answers with a picture."""

from __future__ import annotations

import random

from ..data.schema import EditedImage
from ..interfaces import IMAGE, Message, Sample
from .phrasing import check_token, choose_template, fill_request

__all__ = ["editing_conversation"]

_TASK = "editing"


def editing_conversation(
    record: EditedImage,
    rng: random.Random,
    training: bool,
    *,
    variety: float = 0.3,
    answer_variety: float = 0.05,
    token: str = "[EDIT]",
) -> Sample:
    """Show an image, ask for a change, and answer with a route.

    The instruction goes in as it is, in whatever language.

    The target has an entry for the one route: `images` RGB pictures after the edit, `captions`,
    which are the instructions, `attributes`, what else is known of each, and `changed`, bool
    arrays (H, W) that are true where the edit may change something, or None; and `described`, the
    captions before and afterwards, or None.

    Args:
        record: The image before and after, and the instruction.
        rng: Where all random draws come from.
        training: Whether to vary question and answer.
        variety: Share of training questions in other words than the first template.
        answer_variety: Share of training answers in other words.
        token: The routing token.
    """
    check_token(token)
    varied = training and rng.random() < variety
    varied_answer = training and rng.random() < answer_variety
    template = choose_template(_TASK, "edit", rng, varied=varied)
    question = fill_request(template, instruction=record.instruction.strip())
    answer = choose_template(_TASK, "answer", rng, varied=varied_answer)
    target = {
        "images": (record.open_edited(),),
        "captions": (record.instruction,),
        "attributes": (record.attributes,),
        "changed": (record.changed,),
        "described": (record.captions,),
    }
    return Sample(
        messages=(
            Message("user", (IMAGE, question)),
            Message("assistant", answer.format(route=token)),
        ),
        images=(record.open(),),
        targets=(target,),
        key=record.key,
    )
