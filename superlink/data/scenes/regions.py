"""The built-in scenes to segment by class: landscapes, and the objects in front of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..masks import mask_box
from ..schema import AnnotatedImage, AnnotatedObject, Mask
from .composition import draw_scene_and_stuff, scene_names
from .dataset import SceneDataset
from .drawings import DrawingSet
from .landscape import stuff_names
from .photos import Split
from .readings import SceneReading

__all__ = ["SceneRegions", "read_scene_regions"]


class SceneRegions(SceneReading[AnnotatedImage]):
    """Scenes of which each pixel has a class, with one object for each class that is seen."""

    def __init__(self, scenes: SceneDataset) -> None:
        super().__init__(scenes)
        self.categories = (*stuff_names(), *scene_names())

    def record(self, index: int) -> AnnotatedImage:
        """Draw one scene; the masks of its objects of one class are joined."""
        seed = self.scenes.scene_seed(index)
        scene, stuff = draw_scene_and_stuff(self.scenes.config, seed)
        masks = {**stuff, **_joined(scene.objects)}
        objects = tuple(AnnotatedObject(n, mask_box(masks[n]), masks[n]) for n in sorted(masks))
        return replace(scene, objects=objects, categories=self.categories)


def read_scene_regions(
    split: Split = "train",
    drawings: DrawingSet = "seen",
    num_scenes: int = 1000,
    seed: int = 0,
    size: int = 128,
    max_objects: int = 3,
) -> SceneRegions:
    """The built-in landscapes, as format `scenes` of the task `semantic_segmentation`.

    Args:
        split: Which textures and tints the landscapes have, and which random draws are made.
        drawings: `held_out` shows each class of objects by the one drawing that `seen` never uses.
        num_scenes: How many scenes.
        seed: Of the scenes.
        size: Height and width in pixels.
        max_objects: The most objects of a scene.
    """
    scenes = SceneDataset(
        split, drawings, num_scenes, seed, size, max_objects, background="landscape"
    )
    return SceneRegions(scenes)


def _joined(objects: tuple[AnnotatedObject, ...]) -> Mapping[str, Mask]:
    """A mask for each class."""
    masks: dict[str, Mask] = {}
    for item in objects:
        if item.mask is not None:
            masks[item.name] = np.logical_or(masks.get(item.name, False), item.mask)
    return masks
