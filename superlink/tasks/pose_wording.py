"""How poses are asked for and answered: classes, and behind each the names of its points."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from .phrasing import choose_template, escape_controls, with_article

__all__ = ["Points", "pose_answer", "pose_question"]

Points = Mapping[str, tuple[str, ...]]
"""For each class, names of its keypoints."""
_TASK = "pose"


def pose_question(asked: Points, rng: random.Random, *, whole: bool, varied: bool) -> str:
    """The question for points of classes, or with `whole` for the poses as such.

    `Where are the nose and neck of the horse?`; in free wording also `the horse's nose`.
    """
    if whole:
        template = choose_template(_TASK, "whole", rng, varied=varied)
        return template.format(classes=_listed(list(map(with_article, asked))))
    purpose = "point" if sum(map(len, asked.values())) == 1 else "points"
    template = choose_template(_TASK, purpose, rng, varied=varied)
    owner = varied and rng.random() < 0.3
    called = with_article if varied and rng.random() < 0.5 else str
    if owner:
        words = [f"{with_article(name)}'s {_listed(points)}" for name, points in asked.items()]
    else:
        words = []
        for name, (first, *others) in asked.items():
            points = [with_article(first), *map(called, others)]
            words.append(f"{_listed(points)} of {with_article(name)}")
    return template.format(points=_listed(words, ", and "))


def pose_answer(
    asked: Points, token: str, keypoint_token: str, rng: random.Random, *, varied: bool
) -> str:
    """The answer: `<p>horse</p>[POSE]: <p>nose</p>[KPT], <p>neck</p>[KPT]`, and so each class."""

    def route(phrase: str, behind: str) -> str:
        return f"<p>{escape_controls(phrase, token, keypoint_token)}</p>{behind}"

    routes = "; ".join(
        f"{route(name, token)}: {', '.join(route(point, keypoint_token) for point in points)}"
        for name, points in asked.items()
    )
    return choose_template(_TASK, "answer", rng, varied=varied).format(routes=routes)


def _listed(words: Sequence[str], last: str = " and ") -> str:
    return last.join(filter(None, (", ".join(words[:-1]), words[-1])))
