"""The built-in scenes as pictures to count in."""

from __future__ import annotations

import random

from ..schema import CountedImage
from .captions import plural
from .dataset import SceneDataset
from .drawings import DrawingSet
from .photos import Split
from .readings import SceneReading, check_share

__all__ = ["SceneCounts", "read_scene_counts"]


class SceneCounts(SceneReading[CountedImage]):
    """One kind to count in each scene, by its plural; index and seed decide which."""

    def __init__(self, scenes: SceneDataset, absent: float) -> None:
        check_share("absent", absent)
        super().__init__(scenes)
        self.absent = absent

    def record(self, index: int) -> CountedImage:
        """The scene, and what is counted in it."""
        scene = self.scenes.record(index)
        rng = random.Random(f"count of {scene.key}")
        present = sorted({item.name for item in scene.objects})
        missing = [name for name in scene.categories if name not in present]
        name = rng.choice(missing if not present or rng.random() < self.absent else present)
        objects = tuple(item for item in scene.objects if item.name == name)
        asked = plural(name)
        return CountedImage(scene.image, asked, len(objects), f"{scene.key}/{asked}", objects)


def read_scene_counts(
    split: Split = "train",
    drawings: DrawingSet = "seen",
    num_scenes: int = 1000,
    seed: int = 0,
    size: int = 128,
    max_objects: int = 6,
    num_kinds: int | None = 2,
    absent: float = 0.1,
) -> SceneCounts:
    """The built-in scenes to count in, as format `scenes` of the task `counting`.

    Args:
        split: Which photographs.
        drawings: Which drawings of each class.
        num_scenes: How many scenes.
        seed: Of the scenes.
        size: Side of a scene in pixels.
        max_objects: The most objects of a scene.
        num_kinds: The most classes of a scene; few make high counts.
        absent: Share of the questions for what the scene lacks.
    """
    scenes = SceneDataset(split, drawings, num_scenes, seed, size, max_objects, num_kinds)
    return SceneCounts(scenes, absent)
