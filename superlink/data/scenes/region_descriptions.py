"""The objects of the built-in scenes to describe: what, how large, and where."""

from __future__ import annotations

import random
from dataclasses import replace

from ..schema import AnnotatedImage, AnnotatedObject, DescribedRegion
from .captions import count_phrase
from .composition import Background
from .dataset import SceneDataset
from .drawings import DrawingSet
from .photos import Split
from .readings import SceneReading

__all__ = [
    "SceneRegionDescriptions",
    "ScenesByDescription",
    "describe_object",
    "read_scene_descriptions",
    "read_scenes_by_description",
]


def describe_object(item: AnnotatedObject) -> str:
    """`a small apple at the top left`, `a dog on the right`, of an object of a built-in scene."""
    size, position = str(item.attributes["size"]), str(item.attributes["position"])
    what = count_phrase(item.name, 1, "" if size == "medium" else size)
    place = {"middle": "in the middle", "left": "on the left", "right": "on the right"}
    return f"{what} {place.get(position, f'at the {position}')}"


class SceneRegionDescriptions(SceneReading[DescribedRegion]):
    """One object of each scene; index and seed decide which."""

    def record(self, index: int) -> DescribedRegion:
        """The scene, one of its objects, and the description of this object."""
        scene = self.scenes.record(index)
        number = random.Random(f"region of {scene.key}").randrange(len(scene.objects))
        item = scene.objects[number]
        return DescribedRegion(scene.image, item, (describe_object(item),), f"{scene.key}/{number}")


class ScenesByDescription(SceneReading[AnnotatedImage]):
    """Scenes whose objects are called by their descriptions."""

    def record(self, index: int) -> AnnotatedImage:
        """The scene, all of its objects renamed."""
        scene = self.scenes.record(index)
        objects = tuple(replace(item, name=describe_object(item)) for item in scene.objects)
        names = tuple(dict.fromkeys(item.name for item in objects))
        return replace(scene, objects=objects, categories=names, key=f"{scene.key}/placed")


def read_scenes_by_description(
    split: Split = "train",
    drawings: DrawingSet = "seen",
    num_scenes: int = 1000,
    seed: int = 0,
    size: int = 128,
    max_objects: int = 4,
    num_kinds: int | None = None,
) -> ScenesByDescription:
    """The built-in scenes with objects as `a small apple at the top left`, as format
    `placed_scenes` of `interactive_segmentation`; the arguments are those of `read_scenes`."""
    return ScenesByDescription(
        SceneDataset(split, drawings, num_scenes, seed, size, max_objects, num_kinds)
    )


def read_scene_descriptions(
    split: Split = "train",
    drawings: DrawingSet = "seen",
    num_scenes: int = 1000,
    seed: int = 0,
    size: int = 128,
    max_objects: int = 4,
    num_kinds: int | None = None,
    background: Background = "photo",
) -> SceneRegionDescriptions:
    """The built-in scenes with a described object, as format `scenes` of `region_caption`.

    Args:
        split: Which photographs or landscapes.
        drawings: Which drawings of each class.
        num_scenes: How many scenes.
        seed: Of the scenes.
        size: Side of a scene in pixels.
        max_objects: The most objects of a scene.
        num_kinds: The most classes of a scene; None: any.
        background: What stands behind the objects: `photo` or `landscape`.
    """
    return SceneRegionDescriptions(
        SceneDataset(split, drawings, num_scenes, seed, size, max_objects, num_kinds, background)
    )
