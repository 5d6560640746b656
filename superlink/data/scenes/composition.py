"""One built-in scene: drawings pasted on a photograph or a landscape, with exact annotations."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from PIL import Image

from ...errors import ConfigError
from ..schema import AnnotatedImage, Mask
from .captions import describe_names
from .drawings import DRAWINGS, DrawingSet
from .landscape import draw_landscape
from .photos import Split, draw_photograph
from .placing import Placed, annotate, place
from .sprites import draw_sprite

__all__ = ["Background", "SceneConfig", "draw_scene", "draw_scene_and_stuff", "scene_names"]

Background = Literal["photo", "landscape"]
"""A photograph, or a painted landscape of which it is known where each kind of stuff is."""

_PERSON = "person"
_PERSON_SHARE = 0.2
_OBJECT_SIDE = (0.27, 0.56)  # longer side of an object, as a share of the scene


@dataclass(frozen=True)
class SceneConfig:
    """What scenes look like."""

    size: int = 128
    """Height and width in pixels."""
    split: Split = "train"
    """Which photographs, or textures and tints, stand behind, and which random draws are made."""
    drawings: DrawingSet = "seen"
    """`held_out` shows each class by the one drawing that `seen` never uses."""
    max_objects: int = 4
    """Scenes have from 1 to so many objects."""
    num_kinds: int | None = None
    """The most classes that a scene has objects of; None: any."""
    background: Background = "photo"
    """What stands behind the objects."""

    def __post_init__(self) -> None:
        for name, value, choices in (
            ("split", self.split, get_args(Split)),
            ("drawings", self.drawings, get_args(DrawingSet)),
            ("background", self.background, get_args(Background)),
        ):
            if value not in choices:
                raise ConfigError(f"{name} must be one of {choices}. Received: {name}={value!r}")
        if self.size < 32:
            raise ConfigError(f"Scenes have at least 32 pixels a side. Received: size={self.size}")
        if self.max_objects < 1 or (self.num_kinds is not None and self.num_kinds < 1):
            raise ConfigError(
                "Scenes hold at least one object, of at least one kind. "
                f"Received: max_objects={self.max_objects}, num_kinds={self.num_kinds}"
            )


def scene_names() -> tuple[str, ...]:
    """The classes of the built-in scenes, in alphabetical order."""
    return tuple(sorted((*DRAWINGS, _PERSON)))


def draw_scene(config: SceneConfig, seed: int) -> AnnotatedImage:
    """Draw one scene. The same arguments give the same pixels, whatever was drawn before.

    Raises:
        MissingDependencyError: A package that ships photographs or drawings is not installed.
    """
    return draw_scene_and_stuff(config, seed)[0]


def draw_scene_and_stuff(
    config: SceneConfig, seed: int
) -> tuple[AnnotatedImage, Mapping[str, Mask]]:
    """Draw one scene, see `draw_scene`, and tell what is seen of its background.

    Returns:
        The scene with its objects, and a mask (size, size) for each kind of stuff of a landscape,
        without what objects cover. Each pixel of a landscape is in one of all these masks;
        photographs have no stuff.
    """
    # The split is part of the seed, so that a training scene never lays out as a validation scene.
    rng = random.Random(f"superlink scene {config.split} {seed}")
    canvas, stuff = _background(config, rng)
    canvas_side = 128 * -(-config.size // 192)  # more than objects need
    placed: list[Placed] = []
    kinds = [_kind(rng) for _ in range(config.num_kinds or 0)]
    for _ in range(rng.randint(1, config.max_objects)):
        name = rng.choice(kinds) if kinds else _kind(rng)
        side = rng.uniform(*_OBJECT_SIDE) * config.size
        sprite, keypoints = draw_sprite(name, config.drawings, side, canvas_side, rng)
        place(canvas, placed, name, sprite, keypoints, rng)
    return _scene(config, seed, canvas, placed), _uncovered(stuff, placed)


def _scene(
    config: SceneConfig, seed: int, canvas: Image.Image, placed: list[Placed]
) -> AnnotatedImage:
    names = [item.name for item in placed]
    return AnnotatedImage(
        image=canvas,
        objects=tuple(annotate(item, names.count(item.name)) for item in placed),
        categories=scene_names(),
        key=f"{_kind_of_scene(config)}/{seed}",
        caption=describe_names(names),
    )


def _uncovered(stuff: Mapping[str, Mask], placed: list[Placed]) -> dict[str, Mask]:
    """What is left of each mask beside the objects, where anything is."""
    free = ~np.logical_or.reduce([item.mask for item in placed])
    return {name: mask & free for name, mask in stuff.items() if (mask & free).any()}


def _kind_of_scene(config: SceneConfig) -> str:
    """The part of a key that all scenes of a config share."""
    few = "" if config.num_kinds is None else f"/{config.num_kinds} kinds"
    behind = "" if config.background == "photo" else f"/{config.background}"
    return f"scenes/{config.split}/{config.drawings}/{config.size}{few}{behind}"


def _kind(rng: random.Random) -> str:
    return _PERSON if rng.random() < _PERSON_SHARE else rng.choice(tuple(DRAWINGS))


def _background(config: SceneConfig, rng: random.Random) -> tuple[Image.Image, Mapping[str, Mask]]:
    """What stands behind, and a mask of each kind of stuff that is known in it."""
    if config.background == "landscape":
        return draw_landscape(rng, config.size, config.split)
    return draw_photograph(config.split, config.size, rng), {}
