"""A few samples of a set, as a model is trained on them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from ..interfaces import Sample
from .opening import OpenedSet
from .targets import describe_target
from .views import View, annotated_view

__all__ = ["ShownSample", "choose_samples"]


@dataclass(frozen=True)
class ShownSample:
    """One sample, or why it cannot be made."""

    index: int
    """Which record it is of."""
    sample: Sample | None
    """The sample; None where its record or its image cannot be used."""
    reason: str = ""
    """Why there is none."""

    @property
    def heading(self) -> str:
        """What it is called."""
        key = "" if self.sample is None else self.sample.key
        return f"{self.index}: {key}" if key else f"{self.index}"

    def lines(self) -> list[tuple[str, str]]:
        """The conversation: who speaks and what, and what each target asks for."""
        if self.sample is None:
            return [("cannot be made", self.reason)]
        spoken = [(m.role, m.text_with("<image>")) for m in self.sample.messages]
        return [*spoken, *(("target", describe_target(t)) for t in self.sample.targets)]

    def annotated(self) -> View:
        """Its image with the targets on it."""
        if self.sample is None:
            return View("annotated", None, f"cannot be made: {self.reason}")
        return annotated_view(self.sample)

    def to_json(self) -> dict[str, Any]:
        """The sample in plain JSON types, the image left out."""
        if self.sample is None:
            return {"record": self.index, "cannot_be_made": self.reason}
        return {
            "record": self.index,
            "key": self.sample.key,
            "messages": [
                {"role": message.role, "text": message.text_with("<image>")}
                for message in self.sample.messages
            ],
            "targets": [describe_target(target) for target in self.sample.targets],
        }


def choose_samples(
    opened: OpenedSet, indices: Sequence[int], number: int, seed: int
) -> list[ShownSample]:
    """Draw records, and make the samples that a stage of training makes of them.

    Args:
        opened: The set.
        indices: The records to draw from.
        number: How many to draw at most.
        seed: Of which are drawn, and of what their conversations draw.
    """
    drawn = random.Random(seed).sample(indices, min(number, len(indices)))
    return [_make(opened, index, seed) for index in sorted(drawn)]


def _make(opened: OpenedSet, index: int, seed: int) -> ShownSample:
    try:
        record = opened.records[index]
        return ShownSample(
            index, opened.conversation(record, random.Random(f"{seed}-{index}"), True)
        )
    except InputError as error:
        return ShownSample(index, None, str(error))
