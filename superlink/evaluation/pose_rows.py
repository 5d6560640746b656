"""Poses of targets and replies in a row, and the way back: instances whose keypoints are in the
order of their class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from ..errors import InputError
from ..interfaces import InstancePrediction, Reply
from .evaluator import Row
from .instances import annotated_instances, instance_row
from .metrics.average_precision import Instance
from .metrics.columns import plain_numbers
from .metrics.matching import CategoryMatcher
from .metrics.routing import RoutedPhrase, RoutingScore
from .routing import AskedNames, resolve_phrases

__all__ = ["Poses", "Skeletons", "pose_routing", "pose_row", "read_poses"]

_POINT = "[KPT]"
"""What asks for a keypoint of the classes before it."""

Skeletons = Mapping[str, Sequence[tuple[str, float]]]
"""By class, the name and the sigma of each of its keypoints."""


@dataclass(frozen=True)
class Poses:
    """The instances of some rows; those of one class have the same keypoints."""

    truths: list[Instance]
    """What is annotated; keypoints that were not asked for are not labelled."""
    found: list[Instance]
    """What was found, with NaN for keypoints that were asked for and not answered."""
    skeletons: Skeletons
    """All keypoints that any row asked for."""


def pose_row(
    targets: Sequence[Mapping[str, Any]],
    predictions: Sequence[InstancePrediction],
    names: AskedNames,
    reply: Reply,
    key: str,
) -> dict[str, Any]:
    """What poses and their routes make of a row.

    Returns:
        What `instance_row` and `AskedNames.row` return, with `keypoints` of `truths` and `found`;
        `calls`, the number of names and the keypoints of each target; `words`, what the points of
        each prediction are called, and `found` has its index in `call`. Of `routed`, a text is
        the phrase of a keypoint.

    Raises:
        InputError: Predicted keypoints have no names.
    """
    row = instance_row(targets, predictions, names, key)
    calls = [
        {
            "names": len(target["names"]),
            "points": list(map(list, zip(known.names, known.sigmas, strict=True))),
        }
        for target in targets
        for known in (target["keypoint_set"],)
    ]
    row["truths"]["keypoints"] = [
        point for target in targets for point in plain_numbers(_labelled(target))
    ]
    row["found"]["keypoints"] = [
        points for prediction in predictions for points in _points(prediction)
    ]
    row["found"]["call"] = [
        index for index, prediction in enumerate(predictions) for _ in prediction.labels
    ]
    words = [list(_words(prediction, key)) for prediction in predictions]
    classes = tuple(route for route in reply.routes if route.token != _POINT)
    named = names.row(replace(reply, routes=classes))
    indices = iter(named["routed"])
    routed = [r.phrase if r.token == _POINT else next(indices) for r in reply.routes]
    return {**named, **row, "calls": calls, "words": words, "routed": routed}


def read_poses(rows: Sequence[Row], categories: Sequence[Sequence[str | None]]) -> Poses:
    """The instances of rows; `categories` has the class of each phrase of each row."""
    skeletons: dict[str, dict[tuple[str, float], None]] = {}
    for row in rows:
        for name, points in _asked(row):
            skeletons.setdefault(name, {}).update(dict.fromkeys(points))
    order = {name: tuple(points) for name, points in skeletons.items()}
    truths: list[Instance] = []
    found: list[Instance] = []
    for image, (row, known) in enumerate(zip(rows, categories, strict=True)):
        truths += _truths(row, image, order)
        found += _found(row, image, known, order)
    return Poses(truths, found, order)


def pose_routing(rows: Sequence[Row], known: CategoryMatcher) -> RoutingScore:
    """The routes of all replies, counted: classes, and keypoints as `person: nose`."""
    score = RoutingScore()
    for row in rows:
        expected, left = [], iter(row["expected"])
        for call in row["calls"]:
            names = [next(left) for _ in range(call["names"])]
            expected += [*names, *(f"{names[0]}: {point}" for point, _ in call["points"])]
        score.update(_routed(row, resolve_phrases(row, known)), expected)
    return score


def _labelled(target: Mapping[str, Any]) -> Any:
    """(N, K, 3) x, y and visibility."""
    visible = target["keypoints_visible"].numpy()[..., None]
    return np.concatenate([target["keypoints"].numpy(), visible], axis=-1, dtype=np.float32)


def _points(prediction: InstancePrediction) -> list[Any]:
    if prediction.keypoints is None:
        return [[] for _ in prediction.labels]
    return plain_numbers(prediction.keypoints.detach().cpu().float().numpy())


def _words(prediction: InstancePrediction, key: str) -> tuple[str, ...]:
    if prediction.keypoint_set is not None:
        return prediction.keypoint_set.names
    if prediction.keypoints is not None and prediction.keypoints.numel():
        raise InputError(
            "Keypoints are measured by their names. Received: keypoints of the shape "
            f"{tuple(prediction.keypoints.shape)} without a keypoint_set in the reply to sample "
            f"{key!r}. Choose a decoder that names them."
        )
    return ()


def _asked(row: Row) -> Iterator[tuple[str, list[tuple[str, float]]]]:
    """Each class that a row asks for, with the keypoints."""
    names = iter(row["expected"])
    for call in row["calls"]:
        points = [(name, sigma) for name, sigma in call["points"]]
        for _ in range(call["names"]):
            yield next(names), points


def _routed(row: Row, phrases: Sequence[RoutedPhrase]) -> Iterator[RoutedPhrase]:
    """Classes and keypoints in the order of the text; a keypoint is one of the class that begins
    the run before it."""
    asked: dict[str, list[str]] = {}
    for name, points in _asked(row):
        asked.setdefault(name, []).extend(point for point, _ in points)
    leader: RoutedPhrase | None = None
    inside = False
    for route in row["routed"]:
        if isinstance(route, str):
            phrase, category, _ = leader or ("", None, "")
            match = CategoryMatcher(asked.get(category or "", ())).match(route)
            whole = None if match.category is None else f"{category}: {match.category}"
            yield f"{phrase}: {route}".removeprefix(": "), whole, match.how
        else:
            leader = leader if inside else phrases[route]
            yield phrases[route]
        inside = not isinstance(route, str)


def _truths(row: Row, image: int, skeletons: Skeletons) -> Iterator[Instance]:
    asked = list(_asked(row))
    labels, points = row["truths"]["labels"], row["truths"]["keypoints"]
    # Of crowds no keypoint is known, and they come last.
    places = [(asked[label][1], part) for label, part in zip(labels, points, strict=True)]
    for index, truth in enumerate(annotated_instances([row])):
        order = skeletons.get(truth.category, ())
        mine = dict(zip(*places[index], strict=True)) if index < len(places) else {}
        keypoints = [mine.get(point, (0.0, 0.0, 0.0)) for point in order]
        yield replace(truth, image=image, keypoints=keypoints)


def _found(
    row: Row, image: int, categories: Sequence[str | None], skeletons: Skeletons
) -> Iterator[Instance]:
    asked: dict[str, list[tuple[str, float]]] = {}
    for name, points in _asked(row):
        asked.setdefault(name, []).extend(points)

    @cache
    def places(call: int, name: str) -> list[int | None]:
        """For each keypoint of a class its place in a call; -1: not answered, None: not asked."""
        matcher = CategoryMatcher(point for point, _ in asked.get(name, ()))
        answers: dict[str | None, int] = {}
        for place, word in enumerate(row["words"][call]):
            answers.setdefault(matcher.match(word).category, place)
        known = set(asked.get(name, ()))
        return [answers.get(p[0], -1) if p in known else None for p in skeletons.get(name, ())]

    found = row["found"]
    for index, label in enumerate(found["labels"]):
        if (name := categories[label]) is not None:
            x1, y1, x2, y2 = bbox = found["bboxes"][index]
            points, middle = found["keypoints"][index], [(x1 + x2) / 2, (y1 + y2) / 2]
            keypoints = [
                [*(middle if place is None else points[place]), 1.0]
                if place != -1
                else [np.nan, np.nan, 1.0]
                for place in places(found["call"][index], name)
            ]
            yield Instance(image, name, bbox, found["scores"][index], keypoints=keypoints)
