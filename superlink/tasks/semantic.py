"""Semantic segmentation as a conversation: a list of classes, and a route to the mask of each."""

from __future__ import annotations

import random

from ..data.schema import AnnotatedImage
from ..interfaces import IMAGE, Message, Sample
from .detection import detection_target
from .phrasing import AbsentClasses, check_token, choose_names, class_answer, class_question

__all__ = ["semantic_conversation"]

_TASK = "semantic_segmentation"


def semantic_conversation(
    record: AnnotatedImage,
    rng: random.Random,
    training: bool,
    *,
    max_negatives: int = 4,
    variety: float = 0.3,
    answer_variety: float = 0.05,
    absent_classes: AbsentClasses = 3,
    token: str = "[SEG]",
) -> Sample:
    """Ask for the classes of an image, some absent ones among them, and answer with their masks.

    Evaluation asks by the first template for all present and a few absent classes. The target is
    that of detection, always with `masks` (N, H, W), and `void` (H, W) where it is known.

    Args:
        record: The annotated image; each of its objects needs a mask.
        rng: Where all random draws come from.
        training: Whether to vary what is asked for, and how.
        max_negatives: In training, from 0 to so many absent classes are asked for as well.
        variety: Share of training questions in free wording.
        answer_variety: Share of training answers with words around the list.
        absent_classes: In evaluation, so many absent classes are asked for beside the present
            ones. `all` asks for every category of the record in their order, as mIoU is measured.
        token: The routing token behind each class.

    Raises:
        InputError: An object has no mask; there is no class to ask for.
    """
    check_token(token)
    num_absent = rng.randint(0, max_negatives) if training else absent_classes
    names = choose_names(record, num_absent, rng)
    varied = training and rng.random() < variety
    varied_answer = training and rng.random() < answer_variety
    question = class_question(_TASK, names, rng, varied=varied)
    answer = class_answer(_TASK, names, token, rng, varied=varied_answer)
    image = record.open()
    return Sample(
        messages=(
            Message("user", (IMAGE, question)),
            Message("assistant", answer),
        ),
        images=(image,),
        targets=(detection_target(record, names, (image.height, image.width), masks=True),),
        key=record.key,
    )
