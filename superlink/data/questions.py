"""Questions on regions of an image, with answers to choose from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image

from ..errors import InputError
from .schema import AnnotatedObject, ImageRecord

__all__ = ["RegionQuestion", "Words"]

Words = tuple[str | int, ...]
"""A text in pieces: words, and indices of the objects that stand between them."""
_MOST = 26


@dataclass(frozen=True, eq=False)
class RegionQuestion(ImageRecord):
    """A question on an image, and answers of which one is right."""

    image: Image.Image | Path
    """The pixels, or the file that holds them."""
    question: Words
    """What is asked."""
    choices: tuple[Words, ...]
    """From 2 to 26 answers, or reasons."""
    correct: int
    """Index of the right one."""
    objects: tuple[AnnotatedObject, ...]
    """What question and choices speak of."""
    key: str
    """A stable name of the record."""
    size: tuple[int, int] | None = None
    """Width and height that the objects were annotated at, where it is known."""
    step: Literal["answer", "rationale"] = "answer"
    """Whether the answer is asked for, or the reason of the answer that is given."""
    given: Words = ()
    """The right answer, where a reason is asked for."""
    group: str = ""
    """What the two steps of one question share; empty where there is one alone."""

    def __post_init__(self) -> None:
        if not 2 <= len(self.choices) <= _MOST or not 0 <= self.correct < len(self.choices):
            raise InputError(
                f"A question has from 2 to {_MOST} choices, one of them right. Received: "
                f"{len(self.choices)} choices, correct={self.correct} in {self.source}"
            )
        texts = (self.question, *self.choices, self.given)
        named = {piece for words in texts for piece in words if isinstance(piece, int)}
        if not named <= {*range(len(self.objects))} or not self.question:
            raise InputError(
                "A question says something, and speaks of objects of its own. Received: "
                f"{self.question!r} with {len(self.objects)} objects in {self.source}"
            )
        self.check_inside(*self.objects)
