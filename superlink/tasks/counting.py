"""Counting as a conversation: one name, and one route to all that bear it.

The answer holds no number: the decoder finds the things, and finding them is counting them.
"""

from __future__ import annotations

import random
from typing import Any

from ..data.flipping import sometimes_mirrored
from ..data.schema import CountedImage
from ..errors import InputError
from ..interfaces import IMAGE, Message, Sample
from .phrasing import check_token, choose_template, class_answer
from .targets import object_target

__all__ = ["counting_conversation", "counting_target"]

_TASK = "counting"


def counting_conversation(
    record: CountedImage,
    rng: random.Random,
    training: bool,
    *,
    variety: float = 0.3,
    answer_variety: float = 0.05,
    token: str = "[DET]",
    masks: bool | None = None,
    flip: float = 0.0,
) -> Sample:
    """Ask how many of one kind there are, and answer with one route.

    Args:
        record: The image, and what is counted in it.
        rng: Where all random draws come from.
        training: Whether to vary question and answer; it needs the box of everything counted.
        variety: Share of training questions in free wording.
        answer_variety: Share of training answers with words around the route.
        token: The routing token.
        masks: Whether the data set has masks; None: each record tells.
        flip: Share of training images that are mirrored, with left and right exchanged in words.

    Raises:
        InputError: A training record does not have as many boxes as it counts.
    """
    check_token(token)
    if training:
        record = sometimes_mirrored(record, rng, flip)
    if training and len(record.objects) != record.count:
        raise InputError(
            "To count is learnt from the boxes of all that is counted. Received: "
            f"{len(record.objects)} boxes of {record.count} x {record.name!r} in {record.source}. "
            "Data sets that mark points, as FSC-147, serve evaluation; train on one with boxes."
        )
    varied = training and rng.random() < variety
    varied_answer = training and rng.random() < answer_variety
    question = choose_template(_TASK, "count", rng, varied=varied).format(name=record.name)
    answer = class_answer(_TASK, [record.name], token, rng, varied=varied_answer)
    image = record.open()
    size = (image.height, image.width)
    return Sample(
        messages=(Message("user", (IMAGE, question)), Message("assistant", answer)),
        images=(image,),
        targets=(counting_target(record, size, masks=masks),),
        key=record.key,
    )


def counting_target(
    record: CountedImage, size: tuple[int, int], *, masks: bool | None = None
) -> dict[str, Any]:
    """`names`, `count` and `size`; where all that is counted has a box, `object_target` as well."""
    target: dict[str, Any] = {"names": (record.name,), "size": size}
    if len(record.objects) == record.count:
        labels = [0] * record.count
        target = object_target(record.objects, (record.name,), labels, size=size, masks=masks)
    return {**target, "count": record.count}
