"""Edits of built-in scenes: pictures before and after that differ in one object alone."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import get_args

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from ...errors import ConfigError
from ..problems import Problems
from ..records import Records
from ..scenes.captions import separators
from ..scenes.drawings import DRAWINGS
from ..scenes.photos import Split, draw_photograph
from ..schema import EditedImage
from .items import Item
from .making import EDIT_KINDS, Edit, EditKind, make_edit, other_item

__all__ = ["SceneEdits", "changed_pixels", "read_scene_edits"]

_MIN_SIZE = 48
_NUM_TRIES = 20


class SceneEdits(Records[EditedImage]):
    """Edits that are drawn when they are asked for; see `read_scene_edits`."""

    def __init__(
        self,
        split: Split,
        num_edits: int,
        seed: int,
        size: int,
        max_objects: int,
        kinds: Sequence[EditKind] | EditKind,
    ) -> None:
        self.kinds: tuple[EditKind, ...] = (kinds,) if isinstance(kinds, str) else tuple(kinds)
        if not self.kinds or not set(self.kinds) <= set(EDIT_KINDS):
            raise ConfigError(f"kinds are some of {EDIT_KINDS}. Received: kinds={kinds!r}")
        if split not in get_args(Split):
            raise ConfigError(f"split is one of {get_args(Split)}. Received: split={split!r}")
        if num_edits < 1 or not 0 <= seed < 2**31 or size < _MIN_SIZE or max_objects < 1:
            raise ConfigError(
                "Edits need at least one, a seed from 0 to 2**31 - 1, pictures of at least "
                f"{_MIN_SIZE} pixels a side and room for one object. Received: "
                f"num_edits={num_edits}, seed={seed}, size={size}, max_objects={max_objects}"
            )
        self.split: Split = split
        self.num_edits, self.seed = num_edits, seed
        self.size, self.max_objects = size, max_objects
        self.problems = Problems()

    def __len__(self) -> int:
        return self.num_edits

    def record(self, index: int) -> EditedImage:
        """Draw one edit."""
        number = self.seed * 2**32 + index
        rng = random.Random(f"superlink edits {self.split} {number}")
        names = rng.sample(tuple(DRAWINGS), rng.randint(1, self.max_objects))
        edit = make_edit(rng.choice(self.kinds), names[0], self.size, rng)
        others = self._others(names[1:], edit, rng)
        background = draw_photograph(self.split, self.size, rng)
        before, after = (_scene(others, item) for item in (edit.before, edit.after))
        image, edited = (_drawn(background, items) for items in (before, after))
        some = "" if set(self.kinds) == set(EDIT_KINDS) else "/" + "+".join(self.kinds)
        return EditedImage(
            image=image,
            instruction=edit.instruction,
            edited=edited,
            key=f"edits/{self.split}/{self.size}{some}/{number}",
            changed=changed_pixels(image, edited),
            captions=(_caption(before), _caption(after)),
            attributes=edit.attributes,
        )

    def _others(self, names: Iterable[str], edit: Edit, rng: random.Random) -> list[Item]:
        """Objects apart from each other and from what is edited, as many as find a place."""
        others: list[Item] = []
        for name in names:
            tries = (other_item(name, self.size, rng) for _ in range(_NUM_TRIES))
            taken = (*others, *edit.items)
            free = (item for item in tries if all(map(item.is_apart, taken)))
            others.extend([item for item in [next(free, None)] if item is not None])
        return others


def changed_pixels(image: Image.Image, edited: Image.Image) -> npt.NDArray[np.bool_]:
    """The pixels (H, W) in which two pictures of one size differ, and those beside them."""
    differ = (np.asarray(image) != np.asarray(edited)).any(axis=2)
    return np.asarray(Image.fromarray(differ).convert("L").filter(ImageFilter.MaxFilter(3))) > 0


def _scene(others: Sequence[Item], edited: Item | None) -> list[Item]:
    """What is in the picture, from left to right."""
    items = [*others, *([] if edited is None else [edited])]
    return sorted(items, key=lambda item: (*item.middle, item.name))


def _drawn(background: Image.Image, items: Iterable[Item]) -> Image.Image:
    picture = background.copy()
    for item in items:
        picture.paste(item.sprite, item.corner, item.sprite)
    return picture


def _caption(items: Sequence[Item]) -> str:
    if not items:
        return "a picture of nothing in particular"
    pairs = zip(items, separators(len(items)), strict=True)
    return "a picture of " + "".join(item.words + gap for item, gap in pairs)


def read_scene_edits(
    split: Split = "train",
    num_edits: int = 10_000,
    seed: int = 0,
    size: int = 64,
    max_objects: int = 3,
    kinds: Sequence[EditKind] | EditKind = EDIT_KINDS,
) -> SceneEdits:
    """Edits of built-in scenes, as format `scenes` of the task `editing`.

    No class comes twice in a picture. What is added has one look and size for each class, and what
    is added or moved to a position one place: so the result follows from the instruction.

    Args:
        split: Which photographs stand behind, and which random draws are made.
        num_edits: How many edits.
        seed: Of the edits.
        size: Height and width in pixels.
        max_objects: The most objects of a picture.
        kinds: Which of `remove`, `add`, `recolour`, `move`, all as often.

    Raises:
        ConfigError: An option is out of its range.
    """
    return SceneEdits(split, num_edits, seed, size, max_objects, kinds)
