"""What a sample asked for, and what its reply routed: the part of a row that names make up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ..errors import InputError
from ..interfaces import InstancePrediction, Reply, Sample
from .evaluator import Row
from .metrics.matching import CategoryMatcher, Match
from .metrics.routing import RoutedPhrase, RoutingScore

__all__ = [
    "AskedNames",
    "finite_remarks",
    "finite_row",
    "instance_predictions",
    "known_names",
    "needed_masks",
    "needed_targets",
    "resolve_phrases",
    "routing_score",
    "word_remarks",
]

Synonyms = Mapping[str, Sequence[str]]
_NUM_WORDS = 10


def needed_targets(
    sample: Sample, keys: Iterable[str], task: str, *, least: int = 1, most: int | None = None
) -> list[Mapping[str, Any]]:
    """The targets of a sample.

    Args:
        sample: What was asked and expected.
        keys: What every target must hold.
        task: What is measured, for the error.
        least: How many targets there have to be.
        most: How many targets there may be.

    Raises:
        InputError: There are too few targets or too many, or one of them lacks a key.
    """
    targets = [target for target in sample.targets if target is not None]
    needed = set(keys)
    if len(targets) < least or any(not needed <= target.keys() for target in targets):
        raise InputError(
            f"{task} is measured against targets with {sorted(needed)}. Received: "
            f"{[sorted(target) for target in targets]} in sample {sample.key!r}"
        )
    if most is not None and len(targets) > most:
        raise InputError(
            f"{task} is measured for {most} call in a sample. "
            f"Received: {len(targets)} targets in sample {sample.key!r}"
        )
    return targets


def instance_predictions(reply: Reply) -> list[InstancePrediction]:
    """The instances of each call of a reply, without those of which a number is not finite."""
    return [found.select(_finite(found)) for found in _all_instances(reply)]


def finite_row(reply: Reply) -> dict[str, int]:
    """What a row says of the instances that are left out: `not_finite`, where there are any."""
    count = sum(int((~_finite(found)).sum()) for found in _all_instances(reply))
    return {"not_finite": count} if count else {}


def finite_remarks(rows: Sequence[Row]) -> Iterator[str]:
    """One line where instances were left out."""
    if count := sum(row.get("not_finite", 0) for row in rows):
        yield (
            f"{count} instances had coordinates or scores that are not finite; they count as "
            "nothing."
        )


def needed_masks(prediction: InstancePrediction, size: Sequence[int], key: str) -> npt.NDArray[Any]:
    """The masks (N, H, W) of a call.

    Args:
        prediction: What the decoder made of it.
        size: (H, W) of the original image.
        key: Of the sample, for the error.

    Raises:
        InputError: There are none, or they have another size.
    """
    if prediction.masks is None and not len(prediction.labels):
        return np.zeros((0, *size), np.bool_)
    if prediction.masks is None or tuple(prediction.masks.shape[1:]) != tuple(size):
        received = "none" if prediction.masks is None else tuple(prediction.masks.shape)
        raise InputError(
            f"This task is measured by masks of the original image's size {tuple(size)}. Received: "
            f"{received} in the reply to sample {key!r}. Choose a decoder that gives such masks."
        )
    masks: npt.NDArray[Any] = prediction.masks.detach().cpu().numpy()
    return masks


class AskedNames:
    """The names that one sample asks for, and the phrases of its reply as they are understood.

    Args:
        targets: Those of the sample, with `names` and where known `synonyms`.
        synonyms: Further ones.
        blank: Whether a route without a phrase means the name, where only one is asked for.
    """

    def __init__(
        self, targets: Sequence[Mapping[str, Any]], synonyms: Synonyms, *, blank: bool = False
    ) -> None:
        self.expected = [str(name) for target in targets for name in target["names"]]
        merged: dict[str, list[str]] = {}
        for source in (synonyms, *(target.get("synonyms", {}) for target in targets)):
            for name, words in source.items():
                merged.setdefault(name, []).extend(words)
        self._matcher = CategoryMatcher(self.expected, merged)
        self._blank = (
            Match(self.expected[0], "exact") if blank and len(self.expected) == 1 else None
        )
        self._phrases: dict[str, int] = {}

    def phrase(self, phrase: str) -> int:
        """The index of a phrase in the row's `phrases`; it is added where it is new."""
        return self._phrases.setdefault(phrase, len(self._phrases))

    def category(self, phrase: str) -> str | None:
        """The name that was asked for and that `phrase` means."""
        return self._match(phrase).category

    def row(self, reply: Reply) -> dict[str, Any]:
        """What names add to a row.

        Returns:
            `expected` names; `routed`, for each route the index of its phrase; `phrases`, each
            with the name that it means or None, and how it was understood.
        """
        routed = [self.phrase(route.phrase) for route in reply.routes]
        matches = [(phrase, self._match(phrase)) for phrase in self._phrases]
        phrases = [[phrase, found.category, found.how] for phrase, found in matches]
        return {"expected": self.expected, "routed": routed, "phrases": phrases}

    def _match(self, phrase: str) -> Match:
        blank = self._blank if not phrase.strip() else None
        return blank or self._matcher.match(phrase)


def known_names(rows: Sequence[Row], synonyms: Synonyms) -> CategoryMatcher:
    """All names that any of the samples asked for."""
    return CategoryMatcher((name for row in rows for name in row["expected"]), synonyms)


def resolve_phrases(row: Row, known: CategoryMatcher) -> list[RoutedPhrase]:
    """The phrases of a row as all names tell them apart: one that its sample did not ask for may
    be the name of a class after all."""
    resolved = []
    for phrase, category, how in row["phrases"]:
        match = known.match(phrase)
        named = match.category is not None
        resolved.append((phrase, match.category, match.how) if named else (phrase, category, how))
    return resolved


def routing_score(rows: Sequence[Row], known: CategoryMatcher) -> RoutingScore:
    """The routes of all replies, counted."""
    score = RoutingScore()
    for row in rows:
        phrases = resolve_phrases(row, known)
        score.update([phrases[index] for index in row["routed"]], row["expected"])
    return score


def word_remarks(score: RoutingScore) -> Iterator[str]:
    """One line for the phrases that no class has, and one for names that were routed twice."""
    for words, what in (
        (score.unknown, "Routed phrases that no class has"),
        (score.duplicates, "Names routed again in one reply"),
    ):
        if words:
            listed = [f"{word!r} ({count})" for word, count in words.most_common(_NUM_WORDS)]
            rest = len(words) - len(listed)
            yield f"{what}: {', '.join(listed)}{f', and {rest} more' if rest else ''}."


def _all_instances(reply: Reply) -> list[InstancePrediction]:
    return [found for found in reply.predictions if isinstance(found, InstancePrediction)]


def _finite(found: InstancePrediction) -> torch.Tensor:
    """Which instances (N,) have finite numbers only."""
    keep = torch.isfinite(found.scores) & torch.isfinite(found.bboxes).all(dim=1)
    for values in (found.masks, found.keypoints):
        if values is not None and values.is_floating_point() and len(values):
            keep = keep & torch.isfinite(values).flatten(1).all(dim=1)
    return keep
