"""One built-in scene: drawings pasted on a photograph or a landscape, with exact annotations."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image

from ...errors import ConfigError
from ..masks import mask_box
from ..schema import AnnotatedImage, AnnotatedObject, Mask
from .captions import describe_names, position_word, size_word
from .drawings import DRAWINGS, DrawingSet, drawing_codes, render_drawing
from .figure import draw_figure
from .landscape import draw_landscape
from .photos import Split, load_photos

__all__ = ["Background", "SceneConfig", "draw_scene", "draw_scene_and_stuff", "scene_names"]

Background = Literal["photo", "landscape"]
"""A photograph, or a painted landscape of which it is known where each kind of stuff is."""

_PERSON = "person"
_PERSON_SHARE = 0.2
_OBJECT_SIDE = (0.27, 0.56)  # longer side of an object, as a share of the scene
_MAX_TURN = 20.0  # degrees
_MIN_VISIBLE = 0.4  # share of an object that later ones must leave to be seen
_NUM_TRIES = 5


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


@dataclass
class _Placed:
    """An object on the canvas, while later ones may still cover it."""

    name: str
    mask: npt.NDArray[np.bool_]
    """(size, size), its visible pixels."""
    area: int
    """How many pixels it had when it was pasted."""
    keypoints: npt.NDArray[np.float32] | None
    """(K, 2) in pixels of the scene."""


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
    placed: list[_Placed] = []
    kinds = [_kind(rng) for _ in range(config.num_kinds or 0)]
    for _ in range(rng.randint(1, config.max_objects)):
        name = rng.choice(kinds) if kinds else _kind(rng)
        sprite, keypoints = _sprite(name, config, rng)
        _place(canvas, placed, name, sprite, keypoints, rng)
    return _scene(config, seed, canvas, placed), _uncovered(stuff, placed)


def _scene(
    config: SceneConfig, seed: int, canvas: Image.Image, placed: list[_Placed]
) -> AnnotatedImage:
    names = [item.name for item in placed]
    return AnnotatedImage(
        image=canvas,
        objects=tuple(_annotate(item, names.count(item.name)) for item in placed),
        categories=scene_names(),
        key=f"{_kind_of_scene(config)}/{seed}",
        caption=describe_names(names),
    )


def _uncovered(stuff: Mapping[str, Mask], placed: list[_Placed]) -> dict[str, Mask]:
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
    return _photograph(config, rng), {}


def _photograph(config: SceneConfig, rng: random.Random) -> Image.Image:
    """A random square of a random photograph, mirrored half of the time."""
    photo = rng.choice(load_photos(config.split))
    shorter = min(photo.size)
    side = rng.randint(min(128, shorter), shorter)
    x, y = rng.randint(0, photo.width - side), rng.randint(0, photo.height - side)
    square = photo.resize(
        (config.size, config.size), Image.Resampling.BILINEAR, box=(x, y, x + side, y + side)
    )
    return square.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else square


def _sprite(
    name: str, config: SceneConfig, rng: random.Random
) -> tuple[Image.Image, npt.NDArray[np.float32] | None]:
    """An object as RGBA at its final size, with its keypoints (17, 2) where it is a figure."""
    side = rng.uniform(*_OBJECT_SIDE) * config.size
    # Drawn larger than needed, at few different sizes, then shrunk: smooth edges, a small cache.
    canvas_side = 128 * -(-config.size // 192)
    if name == _PERSON:
        image, keypoints = draw_figure(rng, canvas_side)
        factor = side / max(image.size)
        return _resized(image, factor), keypoints * factor
    image = render_drawing(rng.choice(drawing_codes(name, config.drawings)), canvas_side)
    image = _resized(image, side / max(image.size))
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    turn = rng.uniform(-_MAX_TURN, _MAX_TURN)
    return image.rotate(turn, Image.Resampling.BILINEAR, expand=True), None


def _resized(image: Image.Image, factor: float) -> Image.Image:
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Image.Resampling.BILINEAR)


def _place(
    canvas: Image.Image,
    placed: list[_Placed],
    name: str,
    sprite: Image.Image,
    keypoints: npt.NDArray[np.float32] | None,
    rng: random.Random,
) -> None:
    """Paste an object where it leaves enough of the others to be seen, or not at all.

    So nothing is on the picture that has no label.
    """
    opaque = np.asarray(sprite.getchannel("A")) > 127
    for _ in range(_NUM_TRIES):
        x = rng.randint(0, canvas.width - sprite.width)
        y = rng.randint(0, canvas.height - sprite.height)
        window = np.s_[y : y + sprite.height, x : x + sprite.width]
        if all(_stays_visible(item, window, opaque) for item in placed):
            break
    else:
        return
    canvas.paste(sprite, (x, y), sprite)
    for item in placed:
        item.mask[window] &= ~opaque
    mask = np.zeros((canvas.height, canvas.width), np.bool_)
    mask[window] = opaque
    shifted = None if keypoints is None else keypoints + np.array([x, y], np.float32)
    placed.append(_Placed(name, mask, int(opaque.sum()), shifted))


def _stays_visible(
    item: _Placed, window: tuple[slice, slice], opaque: npt.NDArray[np.bool_]
) -> bool:
    covered = np.count_nonzero(item.mask[window] & opaque)
    return bool(np.count_nonzero(item.mask) - covered >= _MIN_VISIBLE * item.area)


def _annotate(item: _Placed, count: int) -> AnnotatedObject:
    height, width = item.mask.shape
    bbox = mask_box(item.mask)
    attributes = {
        "size": size_word(np.count_nonzero(item.mask) / item.mask.size),
        "position": position_word(bbox, width, height),
        "count": count,
    }
    keypoints = None if item.keypoints is None else _with_visibility(item.keypoints, item.mask)
    return AnnotatedObject(item.name, bbox, item.mask, keypoints, attributes)


def _with_visibility(
    points: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float32]:
    """Add a column to `points` (K, 2): 2 where the object's own pixel is seen, else 1, hidden."""
    height, width = mask.shape
    x = points[:, 0].astype(int).clip(0, width - 1)
    y = points[:, 1].astype(int).clip(0, height - 1)
    return np.column_stack([points, np.where(mask[y, x], 2, 1)]).astype(np.float32)
