"""Pose as a conversation: points of classes are asked for, and each class and point gets a route.

The routes of one class and its points are one call; a reply about two classes makes two.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from ..data.flipping import sometimes_mirrored
from ..data.schema import AnnotatedImage
from ..errors import ConfigError, InputError
from ..interfaces import IMAGE, Message, Sample
from .phrasing import AbsentClasses, check_token, choose_names
from .pose_wording import Points, pose_answer, pose_question
from .targets import ignored_target, object_target

__all__ = ["pose_conversation", "pose_target"]


def pose_conversation(
    record: AnnotatedImage,
    rng: random.Random,
    training: bool,
    *,
    keypoints: str | Sequence[str] | None = None,
    all_share: float = 0.5,
    ordered_share: float = 0.0,
    whole_share: float = 0.1,
    max_keypoints: int | None = None,
    max_classes: int | None = None,
    max_negatives: int = 2,
    absent_classes: AbsentClasses = 1,
    variety: float = 0.3,
    answer_variety: float = 0.05,
    token: str = "[POSE]",
    keypoint_token: str = "[KPT]",
    flip: float = 0.0,
) -> Sample:
    """Ask where points of classes are, and answer with a call for each class: see `pose_target`.

    Evaluation asks by the first template for all points, in the order of the class's set.

    Args:
        record: The annotated image; classes without a set of keypoints are not asked for.
        rng: Where all random draws come from.
        training: Whether to vary what is asked for, and how.
        keypoints: The only ones that are asked for, in this order; a class that has none of them is
            not asked for.
        all_share: Share of training classes of which all points are asked for; of the others it is
            some of them.
        ordered_share: Share of training questions whose points stand in the order of the set, as
            people mostly ask; others stand in an order that is drawn.
        whole_share: Share of training questions for the pose as such; the answer lists all points
            in the order of the class's set.
        max_keypoints: In training, the most points of a class.
        max_classes: In training, the most classes of a question; those that the image shows go
            before others.
        max_negatives: In training, from 0 to so many absent classes are asked for as well.
        absent_classes: In evaluation, so many absent classes are asked for beside the present
            ones; `all` for every category of the record.
        variety: Share of training questions in free wording.
        answer_variety: Share of training answers with words around the routes.
        token: The routing token behind each class.
        keypoint_token: The routing token behind each point.
        flip: Share of training images that are mirrored, where the sides of keypoints are known.

    Raises:
        ConfigError: A token is none, a number is too low, or `keypoints` is empty.
        InputError: No class of the record has keypoints, or none has one of `keypoints`.
    """
    check_token(token)
    check_token(keypoint_token)
    _check_numbers(keypoints, max_keypoints, max_classes, max_negatives)
    if training:
        record = sometimes_mirrored(record, rng, flip)
    known = _askable(record, keypoints)
    num_absent = rng.randint(0, max_negatives) if training else absent_classes
    names = choose_names(_only(record, known), num_absent, rng)
    if training and max_classes is not None:
        names = _most(names, record, max_classes, rng)
    asked: Points = {name: known[name] for name in names}
    longest = max(map(len, asked.values()))
    whole = training and rng.random() < whole_share and longest <= (max_keypoints or longest)
    if training and not whole:
        asked = _drawn(asked, rng, all_share, max_keypoints)
        if rng.random() < ordered_share:
            asked = {name: tuple(p for p in known[name] if p in asked[name]) for name in asked}
    varied = training and rng.random() < variety
    varied_answer = training and rng.random() < answer_variety
    question = pose_question(asked, rng, whole=whole, varied=varied)
    answer = pose_answer(asked, token, keypoint_token, rng, varied=varied_answer)
    image = record.open()
    size = (image.height, image.width)
    return Sample(
        messages=(
            Message("user", (IMAGE, question)),
            Message("assistant", answer),
        ),
        images=(image,),
        targets=tuple(pose_target(record, name, points, size) for name, points in asked.items()),
        key=record.key,
    )


def pose_target(
    record: AnnotatedImage, name: str, points: Sequence[str], size: tuple[int, int]
) -> dict[str, Any]:
    """The target of a call for one class and some of its points.

    Args:
        record: The annotated image.
        name: A class of its `keypoint_sets`.
        points: Names of K of its keypoints, in the order of their routes.
        size: Height and width of the image.

    Returns:
        Of the N objects of the class what `object_target` says, with `keypoints` (N, K, 2),
        `keypoints_visible` (N, K), which is 0 where nobody labelled the point, 1 where it is hidden
        and 2 where it is visible, and `keypoint_set`, which has the names of the K; what is to be
        ignored of the class, see `ignored_target`; `dataset`, where the record knows it.
    """
    known = record.keypoint_sets[name]
    objects = [item for item in record.objects if item.name == name]
    ignored = [item for item in record.ignored if item.name == name]
    target = object_target(objects, (name,), [0] * len(objects), size=size, masks=False)
    target |= ignored_target(ignored, [0] * len(ignored), masks=False)
    nothing = torch.zeros(len(objects), len(known), 3)  # where no object has keypoints
    places = target.get("keypoints", nothing[..., :2])
    visible = target.get("keypoints_visible", nothing[..., 2])
    order = known.indices(points)
    target |= {"keypoints": places[:, order], "keypoints_visible": visible[:, order]}
    target["keypoint_set"] = known.part(points)
    if record.dataset:
        target["dataset"] = record.dataset
    return target


def _check_numbers(
    keypoints: str | Sequence[str] | None,
    max_keypoints: int | None,
    max_classes: int | None,
    max_negatives: int,
) -> None:
    most = [number for number in (max_keypoints, max_classes) if number is not None]
    if (keypoints is not None and not keypoints) or min(most, default=1) < 1 or max_negatives < 0:
        raise ConfigError(
            "A question asks for one keypoint of one class, or for more. Received: "
            f"keypoints={keypoints!r}, max_keypoints={max_keypoints}, max_classes={max_classes}, "
            f"max_negatives={max_negatives}"
        )


def _askable(record: AnnotatedImage, keypoints: str | Sequence[str] | None) -> Points:
    """The points that may be asked for, of each class that has such."""
    sets = record.keypoint_sets
    if not sets:
        raise InputError(
            "To ask for poses, a class of the record needs a set of keypoints. Received: none for "
            f"{record.categories} in {record.source}. Read the set with read_coco_keypoints, or "
            "give the records `keypoint_sets`."
        )
    if keypoints is None:
        return {name: known.names for name, known in sets.items()}
    wanted = [keypoints] if isinstance(keypoints, str) else keypoints
    folded = list(dict.fromkeys(name.casefold().strip() for name in wanted))
    spelled = {name: {n.casefold(): n for n in known.names} for name, known in sets.items()}
    found = {name: tuple(of[n] for n in folded if n in of) for name, of in spelled.items()}
    if not any(found.values()):
        choices = "; ".join(f"{name}: {', '.join(known.names)}" for name, known in sets.items())
        raise InputError(
            "A class needs one of the keypoints that are asked for. "
            f"Received: keypoints={list(wanted)} for {record.source}. Choose from {choices}"
        )
    return {name: points for name, points in found.items() if points}


def _only(record: AnnotatedImage, classes: Points) -> AnnotatedImage:
    """The record as if it knew of no other classes."""
    return replace(
        record,
        objects=tuple(item for item in record.objects if item.name in classes),
        categories=tuple(name for name in record.categories if name in classes),
        ignored=tuple(item for item in record.ignored if item.name in classes),
    )


def _most(
    names: Sequence[str], record: AnnotatedImage, number: int, rng: random.Random
) -> list[str]:
    """At most `number` of the names, those of objects first, in an order that is drawn."""
    present = {item.name for item in record.objects}
    kept = sorted(names, key=lambda name: name not in present)[:number]
    rng.shuffle(kept)
    return kept


def _drawn(known: Points, rng: random.Random, all_share: float, most: int | None) -> Points:
    """Of each class all points, in an `all_share` of the draws, or some, `most` at most."""
    asked = {}
    for name, points in known.items():
        number = len(points) if rng.random() < all_share else rng.randint(1, len(points))
        asked[name] = tuple(rng.sample(points, min(number, most or number)))
    return asked
