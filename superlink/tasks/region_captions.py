"""Region captions as a conversation: something is marked, and described in words; no route."""

from __future__ import annotations

import random

from ..data.prompting import PROMPT_KINDS, Kinds, check_kinds, prompt_of
from ..data.schema import DescribedRegion
from ..errors import InputError
from ..interfaces import IMAGE, REGION_MARK, Message, Sample
from ..replies import marked_parts
from .phrasing import choose_template, escape_controls
from .targets import object_target

__all__ = ["region_caption_conversation"]

_TASK = "region_caption"


def region_caption_conversation(
    record: DescribedRegion,
    rng: random.Random,
    training: bool,
    *,
    prompts: Kinds = PROMPT_KINDS,
    variety: float = 0.3,
) -> Sample:
    """Mark what is described, and answer with its description.

    Training answers with one of its descriptions that is drawn, evaluation with the first. In
    evaluation there is a target for the evaluator: that of detection, of this object, with
    `references`, all descriptions, and `prompts`, its kind of region.

    Args:
        record: The image and what is described; without a mask it is marked by its box.
        rng: Where all random draws come from.
        training: Whether to vary question, answer and region.
        prompts: The kinds of regions, all as often: `point`, `box`, `scribble`, `circle`,
            `polygon`, `mask`.
        variety: Share of training questions in free wording.

    Raises:
        ConfigError: `prompts` are unknown.
        InputError: The mask of what is described is empty.
    """
    region = prompt_of(record.marked, rng, check_kinds(prompts), varied=training)
    if region is None:
        raise InputError(
            "What is described needs a box or a mask that is not empty. "
            f"Received: an empty mask in {record.source}"
        )
    template = choose_template(_TASK, "describe", rng, varied=training and rng.random() < variety)
    answer = rng.choice(record.descriptions) if training else record.descriptions[0]
    question = marked_parts(template.format(region=REGION_MARK), 1)
    image = record.open()
    target = object_target([record.marked], [record.marked.name], [0], size=image.size[::-1])
    target |= {"references": record.descriptions, "prompts": (region.kind,)}
    return Sample(
        messages=(
            Message("user", (IMAGE, *question)),
            Message("assistant", escape_controls(answer)),
        ),
        images=(image,),
        targets=() if training else (target,),
        key=record.key,
        regions=(region,),
    )
