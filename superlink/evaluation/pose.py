"""Poses through a conversation: how near the keypoints of what is found are to the annotated
ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..interfaces import DEFAULT_SIGMA, Reply, Sample
from .evaluator import Evaluator, Row
from .metrics.average_precision import Instance, average_precision
from .metrics.crowdpose import CROWD_LEVELS, crowd_index, crowd_level, crowdpose_metrics
from .metrics.keypoints import BOX_SHARE, keypoint_precision, point_errors, point_metrics
from .metrics.matching import CategoryMatcher, load_synonyms
from .pose_rows import Poses, pose_routing, pose_row, read_poses
from .routing import (
    AskedNames,
    finite_remarks,
    finite_row,
    instance_predictions,
    known_names,
    needed_targets,
    resolve_phrases,
    word_remarks,
)

__all__ = ["PoseEvaluator"]

_KEYS = ("bboxes", "labels", "names", "keypoints", "keypoints_visible", "keypoint_set")
_SURE = 0.3
"""The score from which on something counts as found where nothing is."""
_EYES = ("right eye 1", "left eye 1")
"""The outer eye corners among the 68 keypoints of 300W."""
_UNCOUNTED = ("head", "top head", "neck")
"""Keypoints by which alone CrowdPose counts nobody."""
_NUM_NAMES = 10


class PoseEvaluator(Evaluator):
    """Compares the keypoints of replies with the targets of their samples, by their names.

    A keypoint that was asked for and not answered is missed, and so is every one of an instance
    that was not found. The phrase of a `[POSE]` route says which class its instances belong to.

    Args:
        crowdpose: Whether to measure as CrowdPose does, too.
        synonyms: Class to other words for it, or a JSON or YAML file of such.

    Raises:
        InputError: The file of synonyms cannot be read.
        ConfigError: Synonyms are no mapping of names to lists of words.
    """

    def __init__(
        self,
        *,
        crowdpose: bool = False,
        synonyms: Mapping[str, Sequence[str]] | str | Path | None = None,
    ) -> None:
        self.crowdpose = crowdpose
        self.synonyms = load_synonyms(synonyms)

    def measure(self, sample: Sample, reply: Reply) -> Row:
        """Instances with their classes and keypoints, and what was routed.

        Raises:
            InputError: A target lacks what a call of this task has, or predicted keypoints have no
                names.
        """
        targets = needed_targets(sample, _KEYS, "Pose")
        names = AskedNames(targets, self.synonyms)
        row = pose_row(targets, instance_predictions(reply), names, reply, sample.key)
        return {**row, **finite_row(reply)}

    def summarize(self, rows: Sequence[Row]) -> dict[str, float]:
        """How well poses are found.

        Returns:
            Those of `keypoint_precision`: `OKS_AP` and so on; `crowdpose_metrics` where they are
            wanted; those of `point_metrics`: `PCK@0.1`, `PCK@0.2`, `NME`, `median_error_px`;
            `box_AP` and `box_AP50`; `absent_rate`, the share of the classes that were asked for in
            vain for which an instance with a score of at least 0.3 was found, of this class or of
            one that was not asked for; and those of `RoutingScore`, in which each keypoint of a
            class is a name. What there is nothing of to measure is left out.

        Raises:
            InputError: No sample has an annotated instance, and none asks for an absent class.
            MissingDependencyError: pycocotools is not installed.
        """
        known = known_names(rows, self.synonyms)
        categories = [_categories(row, known) for row in rows]
        poses = read_poses(rows, categories)
        sigmas = {name: [s for _, s in points] for name, points in poses.skeletons.items()}
        metrics = keypoint_precision(poses.truths, poses.found, len(rows), sigmas)
        if self.crowdpose:
            truths, indices = _crowds(poses, len(rows))
            metrics |= crowdpose_metrics(truths, poses.found, indices, sigmas)
        metrics |= point_metrics(point_errors(poses.truths, poses.found, _eyes(poses)))
        metrics |= _box_metrics(poses, len(rows))
        if absent := [
            found for pair in zip(rows, categories, strict=True) for found in _vain(*pair)
        ]:
            metrics["absent_rate"] = float(np.mean(absent))
        if not metrics:
            raise InputError("Pose needs at least one annotated instance. Received: none")
        return {**metrics, **pose_routing(rows, known).compute()}

    def quality(self, row: Row) -> float:
        """PCK@0.1 of what was found with a score of at least 0.3; where no keypoint is labelled,
        whether nothing was found."""
        poses = read_poses([row], [[category for _, category, _ in row["phrases"]]])
        found = [item for item in poses.found if item.score >= _SURE]
        errors = point_errors(poses.truths, found)
        return point_metrics(errors)["PCK@0.1"] if len(errors) else float(not found)

    def remarks(self, rows: Sequence[Row]) -> tuple[str, ...]:
        """Where boxes, areas and sigmas come from, which phrases mean nothing, which names came
        twice, and what was left out."""
        known = known_names(rows, self.synonyms)
        poses = read_poses(rows, [_categories(row, known) for row in rows])
        return (
            *_box_remarks(rows),
            *_scale_remarks(poses),
            *(_crowd_remarks(poses, len(rows)) if self.crowdpose else ()),
            *word_remarks(pose_routing(rows, known)),
            *finite_remarks(rows),
        )


def _categories(row: Row, known: CategoryMatcher) -> list[str | None]:
    """The class of each phrase."""
    return [category for _, category, _ in resolve_phrases(row, known)]


def _countable(truth: Instance, poses: Poses) -> Instance:
    """A truth that knows how many of its keypoints CrowdPose counts."""
    labelled = zip(poses.skeletons.get(truth.category, ()), truth.keypoints or (), strict=True)
    count = sum(v > 0 for (name, _), (_, _, v) in labelled if name.casefold() not in _UNCOUNTED)
    return replace(truth, num_keypoints=count)


def _crowds(poses: Poses, num_images: int) -> tuple[list[Instance], list[float]]:
    """The truths as CrowdPose counts them, and the crowd index of each image."""
    truths = [_countable(truth, poses) for truth in poses.truths]
    people: list[list[Instance]] = [[] for _ in range(num_images)]
    for truth in truths:
        people[truth.image].append(truth)
    return truths, [crowd_index(mine) for mine in people]


def _eyes(poses: Poses) -> dict[str, tuple[int, int]]:
    """By class that has them, the places of the outer eye corners."""
    names = {key: [name.casefold() for name, _ in part] for key, part in poses.skeletons.items()}
    return {
        key: (part.index(_EYES[0]), part.index(_EYES[1]))
        for key, part in names.items()
        if {*_EYES} <= {*part}
    }


def _box_metrics(poses: Poses, num_images: int) -> dict[str, float]:
    if all(truth.ignored for truth in poses.truths):
        return {}
    found = average_precision(poses.truths, poses.found, num_images)
    return {name: found[name] for name in ("box_AP", "box_AP50")}


def _vain(row: Row, categories: Sequence[str | None]) -> Iterator[bool]:
    """For each class that a row asks for in vain, whether something was found for it."""
    there = {row["expected"][i] for part in ("truths", "ignored") for i in row[part]["labels"]}
    found = row["found"]
    sure = {
        categories[label]
        for label, score in zip(found["labels"], found.get("scores", ()), strict=True)
        if score >= _SURE
    }
    strays = sure - {*row["expected"]}
    for name in row["expected"]:
        if name not in there:
            yield name in sure or bool(strays)


def _box_remarks(rows: Sequence[Row]) -> Iterator[str]:
    """One stage, or given boxes: of these there is nothing to tell but the whole image."""
    boxes = [
        (bbox, row["size"]) for row in rows if "size" in row for bbox in row["found"]["bboxes"]
    ]
    if boxes and all(np.allclose(b, [0, 0, w, h], atol=1) for b, (h, w) in boxes):
        yield (
            "Protocol: given boxes. Every instance that was found has the whole image for its box, "
            "and nothing was detected."
        )
    else:
        yield (
            "Protocol: the boxes are the model's own, and no annotated box was given. Keypoints of "
            "instances that it does not find are missed."
        )


def _scale_remarks(poses: Poses) -> Iterator[str]:
    """Where areas and sigmas come from."""
    truths = [truth for truth in poses.truths if not truth.ignored]
    if not truths:
        return
    stated = sum(truth.area is not None for truth in truths)
    rest = f", and {BOX_SHARE} of the box for the others" if stated < len(truths) else ""
    yield f"OKS takes the areas that the data set states, {stated} of {len(truths)}{rest}."
    listed = [_sigmas(name, part) for name, part in [*poses.skeletons.items()][:_NUM_NAMES] if part]
    more = len(poses.skeletons) - _NUM_NAMES
    yield f"Sigmas of OKS: {'; '.join(listed)}{f'; and {more} more classes' if more > 0 else ''}."
    if faces := _eyes(poses):
        yield f"NME of {', '.join(faces)} is over the distance of the outer eye corners."


def _crowd_remarks(poses: Poses, num_images: int) -> Iterator[str]:
    levels = [crowd_level(index) for index in _crowds(poses, num_images)[1]]
    counts = ", ".join(f"{levels.count(level)} {level}" for level in CROWD_LEVELS)
    yield (
        f"CrowdPose's protocol: {counts} images by the crowd index of their annotations, which "
        f"differs from the published one in some images; areas are {BOX_SHARE} of the boxes."
    )


def _sigmas(name: str, points: Sequence[tuple[str, float]]) -> str:
    values = [sigma for _, sigma in points]
    low, high = min(values), max(values)
    scale = f"{low:g} to {high:g}" if low < high else f"{low:g}"
    default = ", the default" if {*values} == {DEFAULT_SIGMA} else ""
    return f"{name} {len(values)} keypoints, {scale}{default}"
