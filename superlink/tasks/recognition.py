"""Region recognition as a conversation: what is marked here? The answer is a name, and no route."""

from __future__ import annotations

import random

from ..data.flipping import sometimes_mirrored
from ..data.prompting import PROMPT_KINDS, Kinds, check_kinds, has_pixels, prompt_of
from ..data.schema import AnnotatedImage, AnnotatedObject
from ..errors import ConfigError, InputError
from ..interfaces import IMAGE, REGION_MARK, Message, Region, Sample
from ..replies import marked_parts
from .phrasing import choose_template, escape_controls
from .targets import object_target

__all__ = ["recognition_conversation"]

_TASK = "region_recognition"


def recognition_conversation(
    record: AnnotatedImage,
    rng: random.Random,
    training: bool,
    *,
    prompts: Kinds = PROMPT_KINDS,
    max_regions: int = 3,
    variety: float = 0.3,
    flip: float = 0.0,
    max_names: int = 80,
) -> Sample:
    """Mark an object and ask what it is; the answer is its name, as the data set writes it.

    Training has a turn for each of some objects; evaluation asks for one that is drawn, and has a
    target for the evaluator: that of detection, of this object, with `prompts`, its kind of region,
    and `candidates`, the names of the record in alphabetical order.

    Args:
        record: The annotated image; an object without a mask is marked by its box.
        rng: Where all random draws come from.
        training: Whether to vary question and regions.
        prompts: The kinds of regions, all as often: `point`, `box`, `scribble`, `circle`,
            `polygon`, `mask`; one that stands twice is drawn twice as often.
        max_regions: In training from 1 to so many turns, each on another object.
        variety: Share of training questions in free wording.
        flip: Share of training images that are mirrored, with left and right exchanged in words.
        max_names: The most candidates; of more, the right one and others that are drawn.

    Raises:
        ConfigError: `prompts` are unknown, or `max_regions` or `max_names` is below 1.
        InputError: The image shows nothing that could be marked.
    """
    kinds = check_kinds(prompts)
    if min(max_regions, max_names) < 1:
        raise ConfigError(
            "A dialogue has at least one turn, and an answer one candidate. "
            f"Received: max_regions={max_regions}, max_names={max_names}"
        )
    if training:
        record = sometimes_mirrored(record, rng, flip)
    marked = _marked(record, rng, kinds, training, max_regions if training else 1)
    messages: list[Message] = []
    for item, _ in marked:
        template = choose_template(_TASK, "name", rng, varied=training and rng.random() < variety)
        question = marked_parts(template.format(region=REGION_MARK), 1)
        messages.append(Message("user", question if messages else (IMAGE, *question)))
        messages.append(Message("assistant", escape_controls(item.name)))
    image = record.open()
    item, region = marked[0]
    target = object_target([item], [item.name], [0], size=image.size[::-1])
    target |= {
        "prompts": (region.kind,),
        "candidates": _candidates(record, item.name, rng, max_names),
    }
    return Sample(
        messages=tuple(messages),
        images=(image,),
        targets=() if training else (target,),
        key=record.key,
        regions=tuple(region for _, region in marked),
    )


def _candidates(
    record: AnnotatedImage, name: str, rng: random.Random, most: int
) -> tuple[str, ...]:
    """What the answer may be: `name`, and others of the record."""
    others = sorted({*record.categories} - {name})
    chosen = others if len(others) < most else rng.sample(others, most - 1)
    return tuple(sorted((name, *chosen)))


def _marked(
    record: AnnotatedImage,
    rng: random.Random,
    kinds: tuple[str, ...],
    training: bool,
    max_regions: int,
) -> list[tuple[AnnotatedObject, Region]]:
    """Some objects, each with its region."""
    every = [item for item in record.objects if has_pixels(item)]
    if not every:
        raise InputError(
            "To ask what something is, an image needs an object, and no empty mask of it. "
            f"Received: {len(record.objects)} objects in {record.source}"
        )
    chosen = rng.sample(every, rng.randint(1, min(max_regions, len(every))))
    drawn = ((item, prompt_of(item, rng, kinds, varied=training)) for item in chosen)
    return [(item, region) for item, region in drawn if region is not None]
