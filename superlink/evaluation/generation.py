"""Generation: does a picture show what was asked for, and how alike is it to the wanted one?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..interfaces import Reply, Sample
from .evaluator import Evaluator, Row
from .metrics.icon_classifier import ICON_ATTRIBUTES, icon_attributes, icon_classifier
from .pictures import (
    Likeness,
    WantedPicture,
    made_pictures,
    picture_rate,
    pictures_of,
    wanted_pictures,
)

__all__ = ["GenerationEvaluator"]

_JUDGED = ("object", "colour", "position")  # that attribute_accuracy is the mean of
_LEAST_ACCURACY = 0.98  # of the classifier, for its figures to count
_FARTHEST = 2.0  # between features of unit length


class GenerationEvaluator(Evaluator):
    """Compares pictures with what was asked for and with the pictures that were wanted.

    Built-in icons are judged by a classifier that is trained on other ones in the same run, half a
    CPU-minute. A route without a picture is wrong, and has no distance.

    Args:
        attributes: Whether to judge object, colour, position and number, where the data are icons.
        efficientnet: Whether to measure distances by EfficientNet-Lite0.
        clip: Folder of a CLIP of transformers, for `CLIP_T` and `CLIP_I`.
        inception: torch-fidelity's file with the weights of Inception, for `FID`.
        device: Where CLIP and Inception run.
    """

    num_first = 8

    def __init__(
        self,
        *,
        attributes: bool = True,
        efficientnet: bool = True,
        clip: str | Path | None = None,
        inception: str | Path | None = None,
        device: str = "cpu",
    ) -> None:
        self._attributes = attributes
        self._likeness = Likeness(efficientnet, clip, inception, device)

    def check(self) -> None:
        """Load the networks that measure.

        Raises:
            InputError: A folder or a file does not hold what it should.
            MissingDependencyError: A package is not installed.
        """
        self._likeness.load()

    def measure(self, sample: Sample, reply: Reply) -> Row:
        """For each wanted picture what was asked for, what is seen, and how alike the two are.

        Raises:
            InputError: The sample has no target with `images` and `captions`.
        """
        made = [image for image, _ in made_pictures(reply)]
        pictures = []
        for index, wanted in enumerate(wanted_pictures(sample, "Generation")):
            row = {"asked": icon_attributes(wanted.attributes) if self._attributes else {}}
            if index < len(made):
                row |= self._seen(made[index], wanted, row["asked"])
            pictures.append({**row, "made": index < len(made)})
        return {"pictures": pictures}

    def summarize(self, rows: Sequence[Row]) -> dict[str, float]:
        """How often pictures are made, right, and alike.

        Returns:
            `picture_rate`, the share of wanted pictures that were made. Of icons `object_accuracy`,
            `colour_accuracy`, `position_accuracy` and `count_accuracy`, each of the pictures that
            were asked for with it; `attribute_accuracy`, the mean of the first three; and
            `classifier_object_accuracy` and so on, of the classifier on icons that it never saw.
            `efficientnet_distance`, of what was made: the mean distance, 0 to 2, of pooled features
            of unit length. With CLIP the cosines of what was made with the caption, `CLIP_T`, and
            with what was wanted, `CLIP_I`; with Inception `FID`.

        Raises:
            InputError: There is nothing to measure.
            MissingDependencyError: A package is not installed.
        """
        pictures = pictures_of(rows)
        metrics = picture_rate(pictures, "Generation")
        found = {name: _accuracy(pictures, name) for name in _asked(pictures)}
        if judged := [found[name] for name in _JUDGED if name in found]:
            metrics["attribute_accuracy"] = float(np.mean(judged))
        metrics |= {f"{name}_accuracy": value for name, value in found.items()}
        if found:
            own = icon_classifier().accuracy
            metrics |= {f"classifier_{name}_accuracy": own[name] for name in found}
        return metrics | self._likeness.summarize(pictures)

    def quality(self, row: Row) -> float | None:
        """The share of attributes that are right, and, less weighty, how alike the pictures are."""
        grades = [_grade(picture) for picture in row["pictures"]]
        return float(np.mean(grades)) if grades else None

    def remarks(self, rows: Sequence[Row]) -> tuple[str, ...]:
        """Who judged the attributes, how many pictures are missing, and what FID depends on."""
        pictures = pictures_of(rows)
        missing = sum(not picture["made"] for picture in pictures)
        lost = (f"{missing} of {len(pictures)} wanted pictures were not made.",) if missing else ()
        judge = _judge_remarks(_asked(pictures))
        return (*lost, *judge, *self._likeness.remarks(pictures))

    def _seen(self, made: Any, wanted: WantedPicture, asked: Mapping[str, Any]) -> dict[str, Any]:
        """What a picture shows of what was asked for, and how alike it is."""
        row: dict[str, Any] = {}
        if asked:
            seen = icon_classifier().name(made)
            row["seen"] = {name: seen[name] for name in asked}
        return row | dict(self._likeness.measure(made, wanted))


def _asked(pictures: Sequence[Row]) -> list[str]:
    """The attributes that some picture was asked for with."""
    return [name for name in ICON_ATTRIBUTES if any(name in p["asked"] for p in pictures)]


def _is_right(picture: Row, name: str) -> bool:
    return bool(picture.get("seen", {}).get(name) == picture["asked"][name])


def _accuracy(pictures: Sequence[Row], name: str) -> float:
    return float(np.mean([_is_right(p, name) for p in pictures if name in p["asked"]]))


def _grade(picture: Row) -> float:
    right = [_is_right(picture, name) for name in picture["asked"]]
    distance: float = picture.get("efficientnet_distance", _FARTHEST)
    return (float(np.mean(right)) if right else 0.0) - distance / 100


def _judge_remarks(names: Sequence[str]) -> Iterator[str]:
    if not names:
        return
    accuracy = icon_classifier().accuracy
    yield (
        "Attributes are judged by a classifier that was trained in this run on built-in icons of "
        "every object in every colour, and measured on others."
    )
    if weak := [name for name in names if accuracy[name] < _LEAST_ACCURACY]:
        yield (
            f"The classifier names {', '.join(weak)} of fresh icons less than {_LEAST_ACCURACY} "
            "of the time: those accuracies do not count."
        )
