"""Detection as a conversation: a list of classes is asked for, and comes back with routes.

The order of the reply is the order of the question, and the index of a class in it is its label.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Literal

import torch

from ..data.flipping import sometimes_mirrored
from ..data.scenes import scene_names
from ..data.schema import AnnotatedImage
from ..errors import ConfigError, InputError
from ..interfaces import IMAGE, Message, Sample
from .phrasing import (
    AbsentClasses,
    check_token,
    choose_names,
    choose_template,
    class_answer,
    class_question,
)
from .targets import ignored_target, object_target

__all__ = [
    "class_list_conversation",
    "detection_conversation",
    "detection_target",
    "read_names",
    "text_only_conversation",
]

Questions = Literal["detection", "semantic_segmentation"]
"""A task whose questions list classes."""
_TASK: Questions = "detection"


def detection_conversation(
    record: AnnotatedImage,
    rng: random.Random,
    training: bool,
    *,
    max_negatives: int = 4,
    open_questions: float = 0.2,
    variety: float = 0.3,
    answer_variety: float = 0.05,
    absent_classes: AbsentClasses = 3,
    token: str = "[DET]",
    masks: bool | None = None,
    flip: float = 0.0,
) -> Sample:
    """Ask for the classes of an image, some absent ones among them, and answer with their boxes.

    Evaluation asks by the first template for all present and a few absent classes.

    Args:
        record: The annotated image.
        rng: Where all random draws come from.
        training: Whether to vary what is asked for, and how.
        max_negatives: In training, from 0 to so many absent classes are asked for as well.
        open_questions: Share of training questions that name no class, "What is here?"; the answer
            then lists the present ones in alphabetical order.
        variety: Share of training questions in free wording. The others are short and regular:
            learning to copy the list is what costs a small LLM its time.
        answer_variety: Share of training answers with words around the list.
        absent_classes: In evaluation, so many absent classes are asked for beside the present
            ones. `all` asks for every category of the record in their order, as COCO measures.
        token: The routing token behind each class.
        masks: Whether the data set has masks; None: each record tells. True matters for images
            without objects, whose mask is then known to be empty.
        flip: Share of training images that are mirrored, with left and right exchanged in words.
    """
    check_token(token)
    if training:
        record = sometimes_mirrored(record, rng, flip)
    present = sorted({item.name for item in record.objects})
    open_question = training and bool(present) and rng.random() < open_questions
    if open_question:
        names = present
    else:
        num_absent = rng.randint(0, max_negatives) if training else absent_classes
        names = choose_names(record, num_absent, rng)
    varied = training and rng.random() < variety
    varied_answer = training and rng.random() < answer_variety
    if open_question:
        question = choose_template(_TASK, "open", rng, varied=varied)
    else:
        question = class_question(_TASK, names, rng, varied=varied)
    answer = class_answer(_TASK, names, token, rng, varied=varied_answer)
    image = record.open()
    size = (image.height, image.width)
    target = detection_target(record, names, size, masks=masks)
    if not training and not set(record.categories) <= set(names):
        target["known_names"] = record.categories  # an evaluator tells wrong from unknown by them
    return Sample(
        messages=(
            Message("user", (IMAGE, question)),
            Message("assistant", answer),
        ),
        images=(image,),
        targets=(target,),
        key=record.key,
    )


def detection_target(
    record: AnnotatedImage,
    names: Sequence[str],
    size: tuple[int, int],
    *,
    masks: bool | None = None,
) -> dict[str, Any]:
    """The target of a call whose routes bear `names`.

    Args:
        record: The annotated image; all classes of its objects must be among `names`.
        names: What is asked for.
        size: Height and width of the image.
        masks: Whether the data set has masks. None: it has where each object, or in their absence
            each ignored region, has one.

    Returns:
        See `object_target`; what is to be ignored of the asked classes, see `ignored_target`, and
        of others by their names: `other_ignored_names`, `other_ignored_bboxes`, and where all have
        them `other_ignored_masks` and `other_ignored_areas`; `dataset`, `synonyms` by name, and
        `void` (H, W), where the record knows them.
    """
    ignored = [item for item in record.ignored if item.name in names]
    if masks is None and not record.objects and ignored:
        masks = all(item.mask is not None for item in ignored)
    labels = [names.index(item.name) for item in record.objects]
    target = object_target(record.objects, names, labels, size=size, masks=masks)
    target |= ignored_target(ignored, [names.index(item.name) for item in ignored], masks=masks)
    others = [item for item in record.ignored if item.name not in names]
    for key, value in ignored_target(others, [0] * len(others), masks=masks).items():
        if key != "ignored_labels":
            target[f"other_{key}"] = value
    if others:
        target["other_ignored_names"] = tuple(item.name for item in others)
    if record.dataset:
        target["dataset"] = record.dataset
    if synonyms := {name: record.synonyms[name] for name in names if name in record.synonyms}:
        target["synonyms"] = synonyms
    if record.void is not None:
        target["void"] = torch.from_numpy(record.void)
    return target


def text_only_conversation(
    names: Sequence[str],
    rng: random.Random,
    *,
    variety: float = 0.0,
    max_names: int = 8,
    token: str = "[DET]",
    questions: Questions = _TASK,
) -> Sample:
    """A question for some of `names` and its answer, without an image and without a target.

    An LLM learns from it to copy a list and to put a route behind each name, in a warm-up or beside
    samples with images: no decoder is run for it.

    Args:
        names: What may be asked for.
        rng: Where all random draws come from.
        variety: Share of questions in free wording.
        max_names: From 1 to so many names are asked for.
        token: The routing token behind each.
        questions: The task whose questions are asked.

    Raises:
        InputError: There is no name.
        ConfigError: `max_names` is below 1, or `token` is no routing token.
    """
    check_token(token)
    if max_names < 1:
        raise ConfigError(f"A list has at least one name. Received: max_names={max_names}")
    if not names:
        raise InputError("text_only_conversation needs at least one name. Received: none")
    asked = rng.sample(list(names), rng.randint(1, min(max_names, len(names))))
    varied = rng.random() < variety
    question = class_question(questions, asked, rng, varied=varied)
    return Sample(
        messages=(
            Message("user", question),
            Message("assistant", class_answer(questions, asked, token, rng, varied=False)),
        )
    )


def class_list_conversation(
    record: Sequence[str],
    rng: random.Random,
    training: bool,
    *,
    variety: float = 0.3,
    max_names: int = 8,
    token: str = "[DET]",
    questions: Questions = _TASK,
) -> Sample:
    """A text-only conversation about names of `record`; see `text_only_conversation`."""
    return text_only_conversation(
        record,
        rng,
        variety=variety if training else 0.0,
        max_names=max_names,
        token=token,
        questions=questions,
    )


def read_names(names: Sequence[str] = ()) -> list[tuple[str, ...]]:
    """One record: `names`, or the classes of the built-in scenes."""
    return [tuple(names or scene_names())]
