"""Opening a set so that all of it can be looked at, whatever is broken in it."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..data import AnnotatedImage
from ..errors import InputError
from ..registry import Registry
from ..training import DataChoice
from ..training.dataset import Conversation, load_reader, open_data
from .validation import Finding, left_out

__all__ = ["OpenedSet", "annotated_images", "open_set"]


@dataclass(frozen=True)
class OpenedSet:
    """Records, and what their reader left out when it opened them."""

    choice: DataChoice
    """What was opened, with the options that the reader was given."""
    records: Sequence[Any]
    """What the reader returned."""
    conversation: Conversation
    """Makes a sample of a record."""
    left_out: list[Finding]
    """The items that the reader could not use."""
    warnings: list[str] = field(default_factory=list)
    """What it kept and looks wrong."""

    def indices(self, limit: int | None) -> range:
        """The first `limit` records; all where it is None."""
        return range(len(self.records) if limit is None else min(limit, len(self.records)))


def open_set(choice: DataChoice, registry: Registry, defaults: Mapping[str, Any]) -> OpenedSet:
    """Open a set.

    Args:
        choice: What to open.
        registry: Where its task is looked up.
        defaults: Options that are given too where the reader has them and `choice` does not say.
    """
    parameters = inspect.signature(load_reader(choice, registry)).parameters
    added = {key: value for key, value in defaults.items() if key in parameters}
    choice = choice.model_copy(update={"options": {**added, **choice.options}})
    records, conversation = open_data(choice, registry)
    problems = getattr(records, "problems", ())
    warnings = [*getattr(problems, "warnings", {}).values()]
    return OpenedSet(choice, records, conversation, left_out(problems), warnings)


def annotated_images(
    opened: OpenedSet, indices: Iterable[int], broken: list[Finding]
) -> Iterator[AnnotatedImage]:
    """The records at `indices`, with their images read.

    Args:
        opened: The set.
        indices: Which records.
        broken: Takes in those whose image or mask cannot be read, where the set was opened with
            `broken=skip`; they are left out.

    Raises:
        InputError: One is no `AnnotatedImage`, or cannot be read and is not to be left out.
    """
    for index in indices:
        try:
            record = opened.records[index]
            image = record.open() if isinstance(record, AnnotatedImage) else None
        except InputError as error:
            if opened.choice.options.get("broken") != "skip":
                raise InputError(
                    f"Record {index} cannot be read: {error} To leave such records out, add "
                    "--option broken=skip."
                ) from error
            broken.append(Finding(opened.choice.format, f"record {index}", "", str(error)))
            continue
        if not isinstance(record, AnnotatedImage):
            raise InputError(
                "COCO's form holds annotated images. Received: records of type "
                f"{type(record).__name__}, from the reader {opened.choice.format!r} of the task "
                f"{opened.choice.task!r}. Choose another reader, or another --task of this one."
            )
        yield record if image is None else replace(record, image=image)
