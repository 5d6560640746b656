"""Captions of the built-in scenes, with the objects that each phrase of them names."""

from __future__ import annotations

import random
from collections.abc import Sequence

from ..schema import AnnotatedObject, CaptionedImage
from .captions import count_phrase, separators
from .composition import Background
from .dataset import SceneDataset
from .drawings import DrawingSet
from .photos import Split
from .readings import SceneReading, check_share

__all__ = ["SceneCaptions", "caption_parts", "read_scene_captions"]


def caption_parts(
    objects: Sequence[AnnotatedObject], *, sized: bool = False
) -> tuple[tuple[str, tuple[AnnotatedObject, ...]], ...]:
    """A caption from left to right, in parts as those of `CaptionedImage`.

    Objects that are called the same make up one phrase, which stands where the leftmost of them is.

    Args:
        objects: What the scene shows.
        sized: Whether to say which are small and which are large. A class of which any object is
            neither is not told apart by size.
    """
    groups: dict[tuple[str, str], list[AnnotatedObject]] = {}
    for item in sorted(objects, key=lambda item: (item.bbox[0] + item.bbox[2], *item.bbox)):
        size = _size(item, objects) if sized else ""
        groups.setdefault((item.name, size), []).append(item)
    parts: list[tuple[str, tuple[AnnotatedObject, ...]]] = []
    for ((name, size), named), gap in zip(groups.items(), separators(len(groups)), strict=True):
        parts.append((count_phrase(name, len(named), size), tuple(named)))
        if gap:
            parts.append((gap, ()))
    return tuple(parts)


def _size(item: AnnotatedObject, objects: Sequence[AnnotatedObject]) -> str:
    """`small` or `large`, where that holds of every object of this class; else nothing."""
    sizes = {other.attributes.get("size") for other in objects if other.name == item.name}
    return str(item.attributes["size"]) if sizes <= {"small", "large"} else ""


class SceneCaptions(SceneReading[CaptionedImage]):
    """One caption for each scene; index and seed decide whether it tells sizes."""

    def __init__(self, scenes: SceneDataset, attributes: float) -> None:
        check_share("attributes", attributes)
        super().__init__(scenes)
        self.attributes = attributes

    def record(self, index: int) -> CaptionedImage:
        """The scene and its caption."""
        scene = self.scenes.record(index)
        sized = random.Random(f"caption of {scene.key}").random() < self.attributes
        return CaptionedImage(scene.image, caption_parts(scene.objects, sized=sized), scene.key)


def read_scene_captions(
    split: Split = "train",
    drawings: DrawingSet = "seen",
    num_scenes: int = 1000,
    seed: int = 0,
    size: int = 128,
    max_objects: int = 4,
    num_kinds: int | None = None,
    background: Background = "photo",
    attributes: float = 0.3,
) -> SceneCaptions:
    """The built-in scenes with grounded captions, as format `scenes` of `grounded_caption`.

    Args:
        split: Which photographs or landscapes.
        drawings: Which drawings of each class.
        num_scenes: How many scenes.
        seed: Of the scenes.
        size: Side of a scene in pixels.
        max_objects: The most objects of a scene.
        num_kinds: The most classes of a scene; None: any.
        background: What stands behind the objects: `photo` or `landscape`.
        attributes: Share of the captions that tell small objects from large ones, where it holds.
    """
    scenes = SceneDataset(
        split, drawings, num_scenes, seed, size, max_objects, num_kinds, background
    )
    return SceneCaptions(scenes, attributes)
