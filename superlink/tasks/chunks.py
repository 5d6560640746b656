"""Lists of classes that are too long for one reply: asked in parts, and answered as one."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby

from ..errors import ConfigError, InputError
from ..interfaces import Message, Part, Reply, Sample
from .merging import merge_replies
from .phrasing import escape_controls

__all__ = ["Chunks", "listed", "listed_routes", "target_names"]


@dataclass(frozen=True)
class Chunks:
    """How a long list of classes is asked for.

    Raises:
        ConfigError: A number is below 1.
    """

    classes_per_reply: int = 20
    """The most classes of one question."""
    max_per_image: int | None = 100
    """The most instances that are kept of an image, over all of its questions; None keeps all."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            unlimited = value is None and name == "max_per_image"
            if not unlimited and (not isinstance(value, int) or value < 1):
                raise ConfigError(f"{name} must be a whole number from 1 on. Received: {value!r}")

    def split(self, sample: Sample, names: Sequence[str]) -> list[Sample]:
        """The questions that are asked in the place of one, with their answers where it has one.

        A sample with few enough names is its only part. The parts have no targets.

        Args:
            sample: Its last question lists `names`, as evaluation asks for them, and its answer, if
                there is one, puts a route behind each.
            names: The classes, in the order of the question.

        Raises:
            InputError: Question or answer does not list the names, or marks regions.
        """
        size = self.classes_per_reply
        if len(names) <= size:
            return [sample]
        parts = [names[first : first + size] for first in range(0, len(names), size)]
        last = max(i for i, message in enumerate(sample.messages) if message.role == "user")
        kept, asked = sample.messages[:last], sample.messages[last:]
        if sum(message.num_regions for message in asked):
            raise InputError(
                "A list of names is asked for in parts; regions are not, as each answer counts its "
                f"own. Received: {len(names)} names, and {_start(asked[0])}, key={sample.key!r}. "
                "Leave classes_per_reply out, or mark fewer regions in a question: "
                f"--conversation max_regions={size}."
            )
        ways = zip(
            *(_with_names(message, names, parts, sample.key) for message in asked), strict=True
        )
        return [replace(sample, messages=(*kept, *messages), targets=()) for messages in ways]

    def answer(
        self,
        answer: Callable[[Sequence[Sample]], Sequence[Reply]],
        samples: Sequence[Sample],
        names: Sequence[Sequence[str]],
        *,
        batch_size: int = 8,
    ) -> list[Reply]:
        """One reply to each sample, merged of those to its parts.

        Args:
            answer: Gives a reply to each of at most `batch_size` samples.
            samples: What is asked; see `split`.
            names: The classes of each.
            batch_size: Parts that are answered together.
        """
        parts = [
            (row, part)
            for row, (sample, asked) in enumerate(zip(samples, names, strict=True))
            for part in self.split(sample, asked)
        ]
        merged: dict[int, Reply] = {}
        for first in range(0, len(parts), batch_size):
            batch = parts[first : first + batch_size]
            replies = answer([part for _, part in batch])
            rows = [row for row, _ in batch]
            # Merged as they come: what an image has too many of must not wait for the last part.
            for row, group in groupby(zip(rows, replies, strict=True), key=lambda pair: pair[0]):
                known = [merged[row]] if row in merged else []
                found = [reply for _, reply in group]
                merged[row] = merge_replies([*known, *found], self.max_per_image)
        return [merged[row] for row in range(len(samples))]


def target_names(sample: Sample) -> list[str]:
    """The classes that a sample with targets asks for."""
    return [name for target in sample.targets if target for name in target["names"]]


def listed(names: Sequence[str]) -> str:
    """Names as a plain question lists them."""
    return ", ".join(names)


def listed_routes(names: Sequence[str], token: str) -> str:
    """Names as a plain answer lists them, `token` behind each."""
    return listed([f"<p>{escape_controls(name, token)}</p>{token}" for name in names])


def _with_names(
    message: Message, names: Sequence[str], parts: Sequence[Sequence[str]], key: str
) -> list[Message]:
    """Messages about each of `parts` in the place of one about `names`."""
    found = re.search(r"</p>(\[\w+\])", message.text) if message.role == "assistant" else None
    write = listed if found is None else partial(listed_routes, token=found[1])
    whole = write(names)
    if sum(part.count(whole) for part in message.parts if isinstance(part, str)) != 1:
        raise InputError(
            "A list of classes is asked for in parts where question and answer hold it once, its "
            f"names between commas. Received: {len(names)} names, and {_start(message)}, "
            f"key={key!r}. Leave classes_per_reply out."
        )
    return [replace(message, content=_replaced(message, whole, write(part))) for part in parts]


def _start(message: Message) -> str:
    """Who says what, with its marks, for errors."""
    return f"the {message.role}'s {message.text_with('<image>')[:80]!r}"


def _replaced(message: Message, old: str, new: str) -> tuple[Part, ...]:
    return tuple(p.replace(old, new) if isinstance(p, str) else p for p in message.parts)
