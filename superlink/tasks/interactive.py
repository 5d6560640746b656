"""Interactive segmentation as a conversation: regions are marked, and each gets a route to a mask.

Region i is answered by route i: objects of one class are told apart by the regions alone.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from ..data.flipping import sometimes_mirrored
from ..data.prompting import PROMPT_KINDS, Kinds, check_kinds, has_pixels, prompt_of
from ..data.schema import AnnotatedImage, AnnotatedObject
from ..errors import ConfigError, InputError
from ..interfaces import IMAGE, REGION_MARK, Message, Region, Sample
from ..replies import marked_parts
from .phrasing import check_token, choose_template, class_answer
from .targets import object_target

__all__ = ["interactive_conversation", "region_names"]

_TASK = "interactive_segmentation"


def interactive_conversation(
    record: AnnotatedImage,
    rng: random.Random,
    training: bool,
    *,
    prompts: Kinds = PROMPT_KINDS,
    max_regions: int = 5,
    variety: float = 0.3,
    answer_variety: float = 0.05,
    token: str = "[GRD]",
    named: bool = False,
    flip: float = 0.0,
    shuffled: bool = False,
) -> Sample:
    """Mark objects of an image, and answer with one route for each.

    The target is that of detection with masks: `labels` are the indices of the regions. Beside it
    stand `prompts`, the kind of each, and `void` (H, W) where the record knows it. An object whose
    mask is empty is neither marked nor in the target.

    Args:
        record: The annotated image; each of its objects needs a mask.
        rng: Where all random draws come from.
        training: Whether to vary which objects are marked, and how. Evaluation marks every object,
            in the order of the record, by exact outlines and points of the usual size.
        prompts: The kinds of regions, all as often: `point`, `box`, `scribble`, `circle`,
            `polygon`, `mask`; one that stands twice is drawn twice as often.
        max_regions: In training from 1 to so many objects are marked, in evaluation so many of the
            record at most.
        variety: Share of training questions in free wording.
        answer_variety: Share of training answers with words around the routes.
        token: The routing token behind each region's name.
        named: Whether answers call each region by the name of what it marks, `<p>apple</p>[GRD]`,
            and not `region 1`: to write it, an LLM has to look at the region, and the link carries
            what it saw.
        flip: Share of training images that are mirrored, before anything is marked.
        shuffled: In evaluation, whether each region marks another object than its route is measured
            against: what a model then finds, it found without the regions. The target tells by
            `shuffled` whether the image has another object.

    Raises:
        ConfigError: `prompts` are unknown, `max_regions` is below 1, or training is shuffled.
        InputError: An object has no mask, or no object has a mask with a pixel.
    """
    check_token(token)
    kinds = check_kinds(prompts)
    if max_regions < 1 or (training and shuffled):
        raise ConfigError(
            "A question marks one region or more, and regions are shuffled in evaluation alone. "
            f"Received: max_regions={max_regions}, shuffled={shuffled}, training={training}"
        )
    if training:
        record = sometimes_mirrored(_without_keypoints(record), rng, flip)
    every = _markable(record)
    objects = _chosen(every, rng, max_regions) if training else every[:max_regions]
    regions = _drawn(_others(objects, every, rng) if shuffled else objects, rng, kinds, training)
    varied = training and rng.random() < variety
    varied_answer = training and rng.random() < answer_variety
    names = [item.name for item in objects] if named else region_names(len(objects))
    question = _question(len(objects), rng, varied=varied)
    answer = class_answer(_TASK, names, token, rng, varied=varied_answer)
    image = record.open()
    target = _target(record, objects, names, (image.height, image.width))
    target["prompts"] = tuple(region.kind for region in regions)
    if shuffled:
        target["shuffled"] = len(every) > 1
    return Sample(
        messages=(
            Message("user", (IMAGE, *marked_parts(question, len(regions)))),
            Message("assistant", answer),
        ),
        images=(image,),
        targets=(target,),
        key=record.key,
        regions=tuple(regions),
    )


def region_names(count: int) -> tuple[str, ...]:
    """What answers call the regions of a question: `region 1`, `region 2`, ..."""
    return tuple(f"region {number}" for number in range(1, count + 1))


def _target(
    record: AnnotatedImage,
    objects: Sequence[AnnotatedObject],
    names: Sequence[str],
    size: tuple[int, int],
) -> dict[str, Any]:
    target = object_target(objects, names, range(len(objects)), size=size, masks=True)
    if record.void is not None:
        target["void"] = torch.from_numpy(record.void)
    return target


def _without_keypoints(record: AnnotatedImage) -> AnnotatedImage:
    """The record as far as this task knows it; figures can be mirrored then, too."""
    objects = tuple(replace(item, keypoints=None) for item in record.objects)
    return replace(record, objects=objects)


def _markable(record: AnnotatedImage) -> list[AnnotatedObject]:
    """The objects whose mask has a pixel: what is left out here is left out everywhere."""
    if bare := sorted({item.name for item in record.objects if item.mask is None}):
        raise InputError(
            "To segment what is marked, every object needs a mask. "
            f"Received: no mask of {bare} in {record.source}. Ask the reader for masks."
        )
    objects = [item for item in record.objects if has_pixels(item)]
    if not objects:
        raise InputError(
            "To segment what is marked, an image needs an object with a mask that is not empty. "
            f"Received: {len(record.objects)} objects in {record.source}"
        )
    return objects


def _chosen(
    every: Sequence[AnnotatedObject], rng: random.Random, max_regions: int
) -> list[AnnotatedObject]:
    return rng.sample(every, rng.randint(1, min(max_regions, len(every))))


def _others(
    objects: Sequence[AnnotatedObject], every: Sequence[AnnotatedObject], rng: random.Random
) -> list[AnnotatedObject]:
    """For each object another one of the image, each once; of a single object, itself."""
    step = rng.randrange(1, len(every)) if len(every) > 1 else 0
    return [every[(index + step) % len(every)] for index in range(len(objects))]


def _drawn(
    objects: Sequence[AnnotatedObject], rng: random.Random, kinds: Sequence[str], training: bool
) -> list[Region]:
    drawn = (prompt_of(item, rng, kinds, varied=training) for item in objects)
    return [region for region in drawn if region is not None]


def _question(count: int, rng: random.Random, *, varied: bool) -> str:
    marks = [REGION_MARK] * count
    last = rng.choice((", ", " and ")) if varied else ", "
    listed = ", ".join(marks[:-1]) + last + marks[-1] if count > 1 else marks[0]
    return choose_template(_TASK, "segment", rng, varied=varied).format(regions=listed)
