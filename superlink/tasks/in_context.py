"""In-context segmentation and text: examples first, then one more image that is asked about."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..data.in_context import InContextImages
from ..data.marks import MARK_KINDS, MarkKind
from ..data.prompting import Kinds, has_pixels
from ..data.schema import AnnotatedImage, AnnotatedObject, Mask
from ..errors import ConfigError
from ..interfaces import IMAGE, Message, Sample
from ..interfaces.structures import Part
from .phrasing import check_token, choose_template, escape_controls
from .pointing import Pointer, Shown, with_marks
from .targets import ignored_target, object_target

__all__ = ["in_context_segmentation", "in_context_target", "in_context_text"]

_MASKS, _TEXT = "in_context_segmentation", "in_context_text"
_SUCH = "such objects"
"""What an answer calls objects whose class nobody named."""


def in_context_segmentation(
    record: InContextImages,
    rng: random.Random,
    training: bool,
    *,
    pointing: Sequence[str] | str = "region",
    prompts: Kinds = "mask",
    marks: Sequence[MarkKind] = MARK_KINDS,
    max_shown: int = 5,
    variety: float = 0.3,
    answer_variety: float = 0.05,
    token: str = "[GRD]",
    restate: bool = False,
    masks: bool | None = None,
) -> Sample:
    """Show objects of one class in some images, and ask for all such objects in another.

    The question names no class. The answer has one route, and its target is every object of the
    class in the last image, each an instance of its own.

    Args:
        record: The images and their class.
        rng: Where all random draws come from.
        training: Whether to vary what is shown, and question and answer.
        pointing: How the examples show objects: by a `region`, or by a `mark` drawn into the image;
            of several one is drawn for each sample.
        prompts: The kinds of regions: `mask`, or any of `draw_prompt`.
        marks: The kinds of marks.
        max_shown: In training from 1 to so many objects of an example are shown, in evaluation so
            many of the record at most.
        variety: Share of training samples whose texts are in free wording.
        answer_variety: Share of training answers in other words than the first template.
        token: The routing token.
        restate: Whether the answer names the class, as the phrase of its route: a small LLM learns
            from it what examples have in common. Otherwise it says `such objects`.
        masks: Whether the data set has masks; None: each record tells.

    Raises:
        ConfigError: Nothing is shown, in an unknown way, or with an unknown mark or region; the
            record is of text.
    """
    check_token(token)
    if record.answers != "masks" or max_shown < 1 or "none" in pointing:
        raise ConfigError(
            "Examples of masks show at least one object, by a region or a mark, and come from a "
            f"reader of masks. Received: answers={record.answers!r}, max_shown={max_shown}, "
            f"pointing={pointing!r}"
        )
    varied = training and rng.random() < variety
    varied_answer = training and rng.random() < answer_variety
    pointer = Pointer(rng, pointing, prompts, marks, varied=training)
    shown = [
        pointer.show(image, _some(_members(image, record.name), rng, max_shown, training))
        for image in record.examples
    ]
    example = choose_template(_MASKS, "example", rng, varied=varied)
    query = choose_template(_MASKS, "query", rng, varied=varied)
    told = [(*with_marks(example, one.words), "\n") for one in shown]
    phrase = record.name if restate else _SUCH
    route = f"<p>{escape_controls(phrase, token)}</p>{token}"
    answer = choose_template(_MASKS, "answer", rng, varied=varied_answer).format(route=route)
    image = record.query.open()
    target = in_context_target(record, (image.height, image.width), phrase, masks=masks)
    shown = [*shown, Shown(image, (), ())]
    return _sample(record, shown, [*told, (query,)], answer, target)


def in_context_target(
    record: InContextImages, size: tuple[int, int], phrase: str, *, masks: bool | None = None
) -> dict[str, Any]:
    """The target of a call with one route: all objects of the class in the query.

    Returns:
        See `object_target` and `ignored_target`; `void` (H, W) where anything is unknown: of the
        record, and what its crowds of the class cover.
    """
    objects = _members(record.query, record.name)
    ignored = [item for item in record.query.ignored if item.name == record.name]
    target = object_target(objects, (phrase,), [0] * len(objects), size=size, masks=masks)
    target |= ignored_target(ignored, [0] * len(ignored), masks=masks)
    void = np.zeros(size, bool) if record.query.void is None else record.query.void.copy()
    for item in ignored:
        void |= _covered(item, size)
    for item in objects:
        void &= ~_covered(item, size)
    if void.any():
        target["void"] = torch.from_numpy(void)
    return target


def in_context_text(
    record: InContextImages,
    rng: random.Random,
    training: bool,
    *,
    pointing: Sequence[str] | str = "region",
    prompts: Kinds = "mask",
    marks: Sequence[MarkKind] = MARK_KINDS,
    variety: float = 0.3,
) -> Sample:
    """Images with a text each, and one more whose text is the answer.

    With names, each image points at one of its objects, and the text is what it is called; where
    nothing is pointed at, it is the classes of the image in alphabetical order. With captions,
    the text is the caption, and nothing is pointed at. In evaluation there is a target for the
    evaluator: `names`, the text, and `prompts`, the way of pointing or `caption`.

    Args:
        record: The images, and what their texts are.
        rng: Where all random draws come from.
        training: Whether to vary outlines and wording.
        pointing: How images point at objects: by a `region`, by a `mark` drawn into the image, or
            `none`; of several one is drawn for each sample.
        prompts: The kinds of regions: `mask`, or any of `draw_prompt`.
        marks: The kinds of marks.
        variety: Share of training samples whose texts are in free wording.

    Raises:
        ConfigError: There is no such way to point, region or mark; the record is of masks.
    """
    if record.answers == "masks":
        raise ConfigError(
            "Text is learnt from examples with names or captions. Received: examples with masks. "
            "Choose a reader of text: superlink.data.readers.in_context:read_text_examples"
        )
    varied = training and rng.random() < variety
    captions = record.answers == "captions"
    pointer = Pointer(rng, "none" if captions else pointing, prompts, marks, varied=training)
    purpose = "caption" if captions else "contents" if pointer.way == "none" else "marked"
    lead = choose_template(_TEXT, purpose, rng, varied=varied)
    shown, texts = [], []
    for image in record.images:
        item = rng.choice(_members(image, "")) if purpose == "marked" else None
        shown.append(pointer.show(image, [] if item is None else [item]))
        texts.append(image.caption if captions else item.name if item else _contents(image))
    told = [
        (*with_marks(lead, one.words), f": {text}\n")
        for one, text in zip(shown, texts, strict=True)
    ]
    told[-1] = (*told[-1][:-1], ":")
    target = {"names": (texts[-1],), "prompts": ("caption" if captions else pointer.way,)}
    answer = escape_controls(texts[-1], "[GRD]")
    return _sample(record, shown, told, answer, None if training else target)


def _sample(
    record: InContextImages,
    shown: Sequence[Shown],
    told: Sequence[Sequence[Part]],
    answer: str,
    target: dict[str, Any] | None,
) -> Sample:
    """One question in which each image stands before what is told of it."""
    question = [part for parts in told for part in (IMAGE, *parts)]
    return Sample(
        messages=(Message("user", tuple(question)), Message("assistant", answer)),
        images=tuple(one.image for one in shown),
        targets=() if target is None else (target,),
        key=record.key,
        regions=tuple(region for one in shown for region in one.regions),
    )


def _members(image: AnnotatedImage, name: str) -> list[AnnotatedObject]:
    """The objects of a class, or of all, that are not empty."""
    return [item for item in image.objects if name in ("", item.name) and has_pixels(item)]


def _some(
    objects: Sequence[AnnotatedObject], rng: random.Random, most: int, training: bool
) -> Sequence[AnnotatedObject]:
    if not training:
        return objects[:most]
    return rng.sample(objects, rng.randint(1, min(most, len(objects))))


def _contents(image: AnnotatedImage) -> str:
    return ", ".join(sorted({item.name for item in _members(image, "")}))


def _covered(item: AnnotatedObject, size: tuple[int, int]) -> Mask:
    """The pixels (H, W) of an object: its mask, or its box."""
    if item.mask is not None:
        return item.mask
    x1, y1, x2, y2 = (round(value) for value in item.bbox)
    covered = np.zeros(size, bool)
    covered[y1:y2, x1:x2] = True
    return covered
