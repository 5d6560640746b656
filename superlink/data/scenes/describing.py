"""The built-in scenes with a description in the place of each object's class."""

from __future__ import annotations

import random
from dataclasses import replace

from ..schema import AnnotatedImage, AnnotatedObject
from .captions import plural
from .composition import scene_names
from .dataset import SceneDataset
from .drawings import DrawingSet
from .photos import Split
from .readings import SceneReading
from .referring import DISTINCTIONS, expressions_of

__all__ = ["SceneDescriptions", "read_described_scenes", "read_scene_phrases"]

_OF_ABSENT = ("the {}", "the left {}", "the right {}", "the larger {}", "the smaller {}")
"""What is said of classes that a scene lacks."""


class SceneDescriptions(SceneReading[AnnotatedImage]):
    """Scenes whose objects bear names that mean them alone: `the left apple`.

    Asked for as classes are, several in one question, they teach what tells the objects of one
    image apart. An object that no expression means is not annotated.
    """

    def record(self, index: int) -> AnnotatedImage:
        """The scene; index and seed decide which of its expressions each object is called by."""
        scene = self.scenes.record(index)
        rng = random.Random(f"descriptions of {scene.key}")
        objects = _described(scene, rng)
        present = {item.name for item in scene.objects}
        missing = [name for name in scene.categories if name not in present]
        absent = [rng.choice(_OF_ABSENT).format(name) for name in missing]
        names = (*(item.name for item in objects), *absent)
        return replace(scene, objects=objects, categories=names, key=f"{scene.key}/described")


def _described(scene: AnnotatedImage, rng: random.Random) -> tuple[AnnotatedObject, ...]:
    """Each object that some expression means, under one of these."""
    found = expressions_of(scene)
    choices = [[text for text, meant in found if meant is item] for item in scene.objects]
    return tuple(
        replace(item, name=rng.choice(texts))
        for item, texts in zip(scene.objects, choices, strict=True)
        if texts
    )


def read_described_scenes(
    split: Split = "train",
    drawings: DrawingSet = "seen",
    num_scenes: int = 1000,
    seed: int = 0,
    size: int = 128,
    max_objects: int = 4,
    num_kinds: int | None = 2,
) -> SceneDescriptions:
    """The built-in scenes with described objects, as format `described_scenes` of `detection`.

    Args:
        split: Which photographs.
        drawings: Which drawings of each class.
        num_scenes: How many scenes.
        seed: Of the scenes.
        size: Side of a scene in pixels.
        max_objects: The most objects of a scene.
        num_kinds: The most classes of a scene; few make expressions that tell one of several.
    """
    return SceneDescriptions(
        SceneDataset(split, drawings, num_scenes, seed, size, max_objects, num_kinds)
    )


def read_scene_phrases() -> list[tuple[str, ...]]:
    """One record, as format `described_scenes` of `class_list`: what objects of the built-in scenes
    may be called, one or several, without a scene."""
    names = scene_names()
    words = [f"the {word} {name}" for name in names for word in DISTINCTIONS]
    relations = [
        f"the {name} {side} of the {other}"
        for name, other in zip(names, (*names[1:], names[0]), strict=True)
        for side in ("left", "right")
    ]
    several = dict.fromkeys(plural(name) for name in names)
    return [(*several, *(f"the {name}" for name in names), *words, *relations)]
