"""Pointing at objects of an image: by regions in the message, or by marks drawn into the image."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from PIL import Image

from ..data.marks import MARK_KINDS, Mark, MarkKind, choose_mark
from ..data.prompting import Kinds, box_of, check_kinds, prompt_of
from ..data.scenes.captions import plural
from ..data.schema import AnnotatedImage, AnnotatedObject
from ..errors import ConfigError
from ..interfaces import REGION, Region
from ..interfaces.structures import Part

__all__ = ["Pointer", "Pointing", "Shown", "object_region", "with_marks"]

Pointing = Literal["region", "mark", "none"]
"""By a `REGION` of the message, by a mark drawn into the image, or not at all."""


@dataclass(frozen=True)
class Shown:
    """An image in which something is pointed at."""

    image: Image.Image
    """The image, with marks where they are drawn."""
    words: tuple[Part, ...]
    """What a text calls that which is pointed at: its regions, or `the red circle`."""
    regions: tuple[Region, ...]
    """The regions, in the order of their parts."""


class Pointer:
    """Points at objects, in one way for all images of a sample.

    Args:
        rng: Where all random draws come from.
        pointing: Ways to point, of which one is drawn.
        prompts: The kinds of regions; see `draw_prompt`. An object without a mask gets its box.
        marks: The kinds of marks.
        varied: Whether the outlines of regions vary, as in training.

    Raises:
        ConfigError: There is no such way, no such kind of region, or no kind of mark.
    """

    def __init__(
        self,
        rng: random.Random,
        pointing: Sequence[str] | str,
        prompts: Kinds,
        marks: Sequence[MarkKind],
        *,
        varied: bool,
    ) -> None:
        ways = (pointing,) if isinstance(pointing, str) else (*pointing,)
        if not ways or not {*ways} <= {*get_args(Pointing)}:
            raise ConfigError(
                f"Things are pointed at in some of the ways {get_args(Pointing)}. "
                f"Received: pointing={pointing!r}"
            )
        if not marks or not {*marks} <= {*MARK_KINDS}:
            raise ConfigError(f"Marks are some of {MARK_KINDS}. Received: marks={marks!r}")
        self.rng, self.varied = rng, varied
        self.way = rng.choice(ways)
        self.prompts, self.marks = check_kinds(prompts), tuple(marks)

    def show(self, record: AnnotatedImage, objects: Sequence[AnnotatedObject]) -> Shown:
        """Open an image and point at some of its objects, all of which have pixels."""
        image = record.open()
        if self.way == "region":
            regions = tuple(
                object_region(item, self.rng, self.prompts, varied=self.varied) for item in objects
            )
            return Shown(image, (*_listed(len(regions)),), regions)
        if self.way == "none":
            return Shown(image, (), ())
        mark = choose_mark(self.rng, self.marks)
        for item in objects:
            marked = item.bbox if item.mask is None else item.mask
            image = mark.draw(image, marked, self.rng)
        return Shown(image, (_called(mark, len(objects)),), ())


def with_marks(template: str, words: Sequence[Part]) -> tuple[Part, ...]:
    """The parts of a text: a template whose `{marks}`, if it has them, are replaced by `words`."""
    before, found, after = template.partition("{marks}")
    return tuple(part for part in (before, *(words if found else ()), after) if part != "")


def object_region(
    item: AnnotatedObject, rng: random.Random, kinds: Kinds, *, varied: bool
) -> Region:
    """A region that marks an object: see `draw_prompt`; without a mask, all pixels of its box."""
    region = None if item.mask is None else prompt_of(item, rng, kinds, varied=varied)
    return box_of(item) if region is None else region


def _listed(count: int) -> list[Part]:
    between: list[Part] = [REGION, ", "]
    return (between * count)[:-1]


def _called(mark: Mark, count: int) -> str:
    return f"the {mark.words if count == 1 else plural(mark.words)}"
