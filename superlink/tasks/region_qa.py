"""Region question answering as a conversation: regions in question and choices, a letter back."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from string import ascii_uppercase

from ..data.prompting import Kinds, check_kinds
from ..data.questions import RegionQuestion, Words
from ..interfaces import IMAGE, REGION, Message, Sample
from ..interfaces.structures import Part
from .phrasing import choose_template
from .pointing import object_region

__all__ = ["region_qa_conversation"]

_TASK = "region_qa"


def region_qa_conversation(
    record: RegionQuestion,
    rng: random.Random,
    training: bool,
    *,
    prompts: Kinds = "mask",
    repeat: bool = True,
    shuffle: bool = True,
    variety: float = 0.3,
) -> Sample:
    """Ask a question whose words, and whose choices, have regions; the answer is a letter.

    An object is called by its name and a number, `person 1 <region>`, the numbers in the order in
    which objects are first mentioned. In evaluation there is a target for the evaluator: `names`,
    the letter; `choices`, how many there are; `step`, `answer` or `rationale`; and `group`, what
    the steps of one question share.

    Args:
        record: The question, and what it speaks of; an object without a mask is marked by its box.
        rng: Where all random draws come from.
        training: Whether to vary wording, outlines and the order of the choices.
        prompts: The kinds of regions: `mask`, or any of `draw_prompt`.
        repeat: Whether an object has its region wherever it is mentioned; otherwise in the first
            place alone.
        shuffle: Whether training puts the choices in an order that is drawn.
        variety: Share of training questions in free wording.

    Raises:
        ConfigError: `prompts` are unknown.
    """
    kinds = check_kinds(prompts)
    order = [*range(len(record.choices))]
    if training and shuffle:
        rng.shuffle(order)
    letter = ascii_uppercase[order.index(record.correct)]
    ask = choose_template(_TASK, record.step, rng, varied=training and rng.random() < variety)
    image = record.open()
    regions = [object_region(o, rng, kinds, varied=training) for o in record.objects]
    told = [*_told(record, [record.choices[i] for i in order], ask)]
    question, mentioned = _placed(told, record, repeat)
    target = {
        "names": (letter,),
        "choices": len(order),
        "step": record.step,
        "group": record.group,
    }
    return Sample(
        messages=(Message("user", (IMAGE, *question)), Message("assistant", letter)),
        images=(image,),
        targets=() if training else (target,),
        key=record.key,
        regions=tuple(regions[index] for index in mentioned),
    )


def _told(record: RegionQuestion, choices: Sequence[Words], ask: str) -> Iterator[str | int]:
    """The pieces of a question: what is asked, the answer where it is given, and the choices."""
    yield from record.question
    if record.given:
        yield "\nAnswer: "
        yield from record.given
    yield f"\n{ask}"
    for letter, choice in zip(ascii_uppercase, choices, strict=False):
        yield f"\n{letter}. "
        yield from choice


def _placed(
    told: Sequence[str | int], record: RegionQuestion, repeat: bool
) -> tuple[list[Part], list[int]]:
    """The parts of a message, and the objects of its regions in their order."""
    parts: list[Part] = []
    mentioned: list[int] = []
    numbers: dict[int, int] = {}
    for piece in told:
        if isinstance(piece, str):
            parts.append(piece)
            continue
        first = piece not in numbers
        number = numbers.setdefault(piece, len(numbers) + 1)
        parts.append(f"{record.objects[piece].name} {number}")
        if first or repeat:
            parts += [" ", REGION]
            mentioned.append(piece)
    return parts, mentioned
