"""Generation as a conversation: a caption is asked for, and one route answers with a picture."""

from __future__ import annotations

import random

from ..data.schema import CaptionedImage
from ..interfaces import Message, Sample
from .phrasing import check_token, choose_template, fill_request

__all__ = ["generation_conversation"]

_TASK = "generation"


def generation_conversation(
    record: CaptionedImage,
    rng: random.Random,
    training: bool,
    *,
    variety: float = 0.3,
    answer_variety: float = 0.05,
    token: str = "[GEN]",
) -> Sample:
    """Ask for a picture of a caption, and answer with a route; the conversation has no image.

    The caption goes in as it is, in whatever language. Of several captions of one image, training
    asks with one that is drawn, and evaluation with the first.

    The target has an entry for the one route: `images` RGB pictures, `captions`, and `attributes`,
    what else is known of each.

    Args:
        record: The image, and its captions.
        rng: Where all random draws come from.
        training: Whether to vary question and answer.
        variety: Share of training questions in other words than the first template.
        answer_variety: Share of training answers in other words.
        token: The routing token.
    """
    check_token(token)
    varied = training and rng.random() < variety
    varied_answer = training and rng.random() < answer_variety
    caption = rng.choice(record.captions) if training else record.caption
    question = fill_request(
        choose_template(_TASK, "draw", rng, varied=varied), caption=caption.strip()
    )
    answer = choose_template(_TASK, "answer", rng, varied=varied_answer)
    target = {
        "images": (record.open(),),
        "captions": (caption,),
        "attributes": (record.attributes,),
    }
    return Sample(
        messages=(Message("user", question), Message("assistant", answer.format(route=token))),
        targets=(target,),
        key=record.key,
    )
