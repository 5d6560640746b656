"""Questions for keypoints and their answers, in words alone: what an LLM learns to copy them by."""

from __future__ import annotations

import random
from collections.abc import Mapping

from ..data.keypoint_sets import keypoint_set
from ..errors import ConfigError
from ..interfaces import KeypointSet, Message, Sample
from .phrasing import check_token
from .pose_wording import pose_answer, pose_question

__all__ = ["keypoint_list_conversation", "read_keypoint_sets"]

_BUILT_IN = {"horse": "ap10k", "person": "coco"}


def keypoint_list_conversation(
    record: Mapping[str, KeypointSet],
    rng: random.Random,
    training: bool,
    *,
    all_share: float = 0.3,
    ordered_share: float = 0.5,
    max_keypoints: int = 10,
    max_classes: int = 2,
    variety: float = 0.3,
    token: str = "[POSE]",
    keypoint_token: str = "[KPT]",
) -> Sample:
    """Ask for points of classes, without an image and without a target; see `pose_conversation`.

    No decoder is run for it, so that it may stand beside samples with images.

    Args:
        record: Classes with their keypoints.
        rng: Where all random draws come from.
        training: Whether questions vary.
        all_share: Share of the questions that ask for all points of their classes.
        ordered_share: Share of the questions whose points stand in the order of the set.
        max_keypoints: The most points of a class in the others.
        max_classes: From 1 to so many classes are asked for.
        variety: Share of questions in free wording.
        token: The routing token behind each class.
        keypoint_token: The routing token behind each point.

    Raises:
        ConfigError: A token is none, or a number is below 1.
    """
    check_token(token)
    check_token(keypoint_token)
    if min(max_keypoints, max_classes) < 1:
        raise ConfigError(
            "A list asks for one keypoint of one class, or for more. "
            f"Received: max_keypoints={max_keypoints}, max_classes={max_classes}"
        )
    names = rng.sample(sorted(record), rng.randint(1, min(max_classes, len(record))))
    every, ordered = rng.random() < all_share, rng.random() < ordered_share
    asked = {}
    for name in names:
        points = record[name].names
        most = len(points) if every else rng.randint(1, min(max_keypoints, len(points)))
        some = rng.sample(points, most)
        asked[name] = tuple(p for p in points if p in some) if ordered else tuple(some)
    varied = training and rng.random() < variety
    question = pose_question(asked, rng, whole=False, varied=varied)
    answer = pose_answer(asked, token, keypoint_token, rng, varied=False)
    return Sample(messages=(Message("user", question), Message("assistant", answer)))


def read_keypoint_sets(
    classes: Mapping[str, str] | None = None,
) -> list[dict[str, KeypointSet]]:
    """One record: for each class the set that `keypoint_set` knows by a name, or those of the
    built-in scenes."""
    chosen = _BUILT_IN if classes is None else classes
    return [{name: keypoint_set(known) for name, known in chosen.items()}]
