"""Records mirrored: pixels, boxes, masks, keypoints and the words for left and right together."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import ImageOps

from .schema import AnnotatedImage, AnnotatedObject, CountedImage, Mask, ReferringImage

__all__ = ["is_mirrorable", "mirror_words", "mirrored", "sometimes_mirrored"]

Record = TypeVar("Record", AnnotatedImage, ReferringImage, CountedImage)
Orders = Mapping[str, npt.NDArray[np.int64]]
"""For each class whose keypoints have known sides, which of them takes the place of each."""

_OTHER_SIDE = {"left": "right", "right": "left"}
_CASES = (str.lower, str.upper, str.capitalize)
_SIDES = {case(one): case(two) for one, two in _OTHER_SIDE.items() for case in _CASES}
# A word that is a side or begins with one, as leftmost and right-hand do; `bright` and `leftover`
# do not. An underscore parts words, too: `top_left`.
_WORD = re.compile(
    rf"(?<![^\W_])({'|'.join(_SIDES)})(?=(?i:most|wards?|hand|handed|sides?)?(?![^\W_]))"
)
# Words that hold a side and mean none.
_HARMLESS = re.compile(
    r"\b(?:(?:a|al|b|birth|copy|f|forth|out|up|\w*w)right\w*|right(?:ful|eous)\w*|rightly"
    r"|leftovers?|cleft\w*)\b",
    re.IGNORECASE,
)
# Words that change with the sides, or may be no side, in ways that are not sure enough to exchange
# them: `rt`, `the right way up`, `right behind the car`, `what she left behind`.
_UNSURE = re.compile(
    r"\b(?:[lr]|lt|rt|lft|rgt|[lr]h|[lr]hs|(?:counter|anti)?-?clockwise|o'clock"
    r"|all[ -]right|right[ -](?:side[ -]up|way|angled?|angles|here|there|now|where|above|across"
    r"|after|against|at|away|before|behind|below|beneath|beside|between|beyond|by|down|in[ -]front"
    r"|in the middle|inside|next|off|on|out|outside|over|through|under|underneath|up)"
    r"|left[ -](?:a|alone|an|behind|her|his|its|open|out|over|the|their))\b",
    re.IGNORECASE,
)
_SIDE = re.compile("left|right", re.IGNORECASE)


def sometimes_mirrored(record: Record, rng: random.Random, share: float) -> Record:
    """The record, or its mirror image in a `share` of the draws.

    A record stays as it is where what changes with the sides is not known for sure: with keypoints
    of which nobody says which trade places, and with words that are not `is_mirrorable`.
    """
    if not share or rng.random() >= share:
        return record
    orders = _mirror_orders(record)
    if any(item.keypoints is not None and item.name not in orders for item in record.objects):
        return record
    return mirrored(record) if is_mirrorable("\n".join(_texts(record))) else record


def mirrored(record: Record) -> Record:
    """The mirror image of a record: what was on the left is on the right, and is called so.

    What was a left knee is a right one, and stands in its place. Keypoints of which nobody says
    which trade places are left out.
    """
    image, orders = record.open(), _mirror_orders(record)
    changes: dict[str, Any] = {
        "image": ImageOps.mirror(image),
        "objects": _mirrored_objects(record.objects, image.width, orders),
    }
    if isinstance(record, AnnotatedImage):
        changes["ignored"] = _mirrored_objects(record.ignored, image.width, orders)
        changes["keypoint_sets"] = {
            mirror_words(name): known for name, known in record.keypoint_sets.items()
        }
        changes["caption"] = mirror_words(record.caption)
        changes["categories"] = tuple(map(mirror_words, record.categories))
        changes["synonyms"] = {
            mirror_words(name): tuple(map(mirror_words, words))
            for name, words in record.synonyms.items()
        }
    if isinstance(record, ReferringImage):
        changes["expression"] = mirror_words(record.expression)
    if isinstance(record, CountedImage):
        changes["name"] = mirror_words(record.name)
    else:
        changes["void"] = _mirrored_mask(record.void)
    return replace(record, **changes)


def mirror_words(text: str) -> str:
    """`text` with left and right exchanged as whole words, in the letters' own case."""
    return _WORD.sub(lambda found: _SIDES[found[0]], text)


def is_mirrorable(text: str) -> bool:
    """Whether all that an English text says of left and right is what `mirror_words` exchanges.

    It is not where a side is abbreviated, part of a longer word (`topleft`) or perhaps no side
    (`right behind`, `all right`). `bright` and the like are harmless.
    """
    return not (_UNSURE.search(text) or _SIDE.search(_HARMLESS.sub("", _WORD.sub("", text))))


def _texts(record: AnnotatedImage | ReferringImage | CountedImage) -> Iterator[str]:
    """All words of a record that a conversation may use."""
    if isinstance(record, AnnotatedImage):
        yield from (record.caption, *record.categories, *(item.name for item in record.ignored))
        yield from (word for words in record.synonyms.values() for word in words)
    else:
        yield record.expression if isinstance(record, ReferringImage) else record.name


def _mirror_orders(record: AnnotatedImage | ReferringImage | CountedImage) -> Orders:
    sets = record.keypoint_sets if isinstance(record, AnnotatedImage) else {}
    orders = {name: known.mirror_order() for name, known in sets.items()}
    return {name: order.numpy() for name, order in orders.items() if order is not None}


def _mirrored_objects(
    objects: tuple[AnnotatedObject, ...], width: int, orders: Orders
) -> tuple[AnnotatedObject, ...]:
    return tuple(_mirrored_object(item, width, orders.get(item.name)) for item in objects)


def _mirrored_object(
    item: AnnotatedObject, width: int, order: npt.NDArray[np.int64] | None
) -> AnnotatedObject:
    x1, y1, x2, y2 = item.bbox
    words = {
        key: mirror_words(value) if isinstance(value, str) else value
        for key, value in item.attributes.items()
    }
    return replace(
        item,
        name=mirror_words(item.name),
        bbox=(width - x2, y1, width - x1, y2),
        mask=_mirrored_mask(item.mask),
        keypoints=_mirrored_keypoints(item.keypoints, width, order),
        attributes=words,
    )


def _mirrored_keypoints(
    points: npt.NDArray[np.float32] | None, width: int, order: npt.NDArray[np.int64] | None
) -> npt.NDArray[np.float32] | None:
    """Keypoints (K, 3) of which each is the one that takes its place; (0, 0, 0) is no place."""
    if points is None or order is None or len(points) != len(order):
        return None
    turned = points[order]
    there = turned[:, 2] > 0
    turned[there, 0] = width - turned[there, 0]
    return turned


def _mirrored_mask(mask: Mask | None) -> Mask | None:
    return None if mask is None else np.ascontiguousarray(mask[:, ::-1])
