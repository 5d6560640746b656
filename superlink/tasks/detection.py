"""Detection as a conversation: a list of classes is asked for, and comes back with routes.

The order of the reply is the order of the question, and the index of a class in it is its label.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..data.scenes import scene_names
from ..data.schema import AnnotatedImage, AnnotatedObject
from ..errors import InputError
from ..interfaces import IMAGE, Message, Sample
from .phrasing import choose_template

__all__ = [
    "class_list_conversation",
    "detection_conversation",
    "detection_target",
    "read_names",
    "text_only_conversation",
]

_TASK = "detection"
_NUM_NEGATIVES_IN_EVALUATION = 3


def detection_conversation(
    record: AnnotatedImage,
    rng: random.Random,
    training: bool,
    *,
    max_negatives: int = 4,
    open_questions: float = 0.2,
    variety: float = 0.3,
    answer_variety: float = 0.05,
) -> Sample:
    """Ask for the classes of an image, some absent ones among them, and answer with their boxes.

    Evaluation asks for all present and three absent classes by the first template.

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
    """
    present = sorted({item.name for item in record.objects})
    open_question = training and bool(present) and rng.random() < open_questions
    if open_question:
        names = present
    else:
        num_negatives = rng.randint(0, max_negatives) if training else _NUM_NEGATIVES_IN_EVALUATION
        names = _asked_names(record, present, num_negatives, rng)
    varied = training and rng.random() < variety
    varied_answer = training and rng.random() < answer_variety
    question = choose_template(_TASK, "open" if open_question else "find", rng, varied=varied)
    return Sample(
        messages=(
            Message("user", (IMAGE, question.format(classes=", ".join(names)))),
            Message("assistant", _answer(names, rng, varied=varied_answer)),
        ),
        images=(record.open(),),
        targets=(detection_target(record.objects, names),),
        key=record.key,
    )


def text_only_conversation(
    names: Sequence[str], rng: random.Random, *, variety: float = 0.0
) -> Sample:
    """A question for 1 to 8 of `names` and its answer, without an image and without a target.

    For the warm-up in which an LLM learns to copy a list and to put a route behind each name. A
    share `variety` of the questions is in free wording.
    """
    if not names:
        raise InputError("text_only_conversation needs at least one name. Received: none")
    asked = rng.sample(list(names), rng.randint(1, min(8, len(names))))
    varied = rng.random() < variety
    question = choose_template(_TASK, "find", rng, varied=varied)
    return Sample(
        messages=(
            Message("user", question.format(classes=", ".join(asked))),
            Message("assistant", _answer(asked, rng, varied=False)),
        )
    )


def class_list_conversation(
    record: Sequence[str], rng: random.Random, training: bool, *, variety: float = 0.3
) -> Sample:
    """A text-only conversation about names of `record`; see `text_only_conversation`."""
    return text_only_conversation(record, rng, variety=variety if training else 0.0)


def read_names(names: Sequence[str] = ()) -> list[tuple[str, ...]]:
    """One record: `names`, or the classes of the built-in scenes."""
    return [tuple(names or scene_names())]


def detection_target(objects: Sequence[AnnotatedObject], names: Sequence[str]) -> dict[str, Any]:
    """The target of a call whose routes bear `names`.

    Returns:
        `bboxes` (N, 4), `labels` (N,) indices into `names`, `names`; `masks` (N, H, W) where every
        object has one; `keypoints` (N, K, 2) and `keypoints_visible` (N, K) where any object has
        them, with zeros for the others.
    """
    target: dict[str, Any] = {
        "bboxes": torch.tensor([item.bbox for item in objects]).reshape(-1, 4).float(),
        "labels": torch.tensor([names.index(item.name) for item in objects], dtype=torch.long),
        "names": tuple(names),
    }
    masks = [item.mask for item in objects if item.mask is not None]
    if masks and len(masks) == len(objects):
        target["masks"] = torch.from_numpy(np.stack(masks))
    return {**target, **_keypoints(objects)}


def _asked_names(
    record: AnnotatedImage, present: Sequence[str], num_negatives: int, rng: random.Random
) -> list[str]:
    absent = [name for name in record.categories if name not in present]
    # Something must be asked for, also where the image shows nothing.
    num_negatives = min(len(absent), max(num_negatives, 0 if present else 1))
    names = [*present, *rng.sample(absent, num_negatives)]
    if not names:
        raise InputError(
            "A detection question needs a class to ask for. "
            f"Received: no categories in {record.source}"
        )
    rng.shuffle(names)
    return names


def _answer(names: Sequence[str], rng: random.Random, *, varied: bool) -> str:
    routes = ", ".join(f"<p>{name}</p>[DET]" for name in names)
    return choose_template(_TASK, "answer", rng, varied=varied).format(routes=routes)


def _keypoints(objects: Sequence[AnnotatedObject]) -> Mapping[str, Tensor]:
    """Keypoints of all objects in one tensor, zeros where an object has none."""
    known = {i: item.keypoints for i, item in enumerate(objects) if item.keypoints is not None}
    counts = {len(points) for points in known.values()}
    if not known:
        return {}
    if len(counts) > 1:
        raise InputError(
            "Objects of one image must have the same keypoints. "
            f"Received: {sorted(counts)} keypoints"
        )
    points = torch.zeros(len(objects), counts.pop(), 3)
    for index, value in known.items():
        points[index] = torch.from_numpy(value)
    return {"keypoints": points[..., :2], "keypoints_visible": points[..., 2]}
