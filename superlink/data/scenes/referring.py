"""Referring expressions for the built-in scenes: words that mean one object, or none at all."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from ..schema import AnnotatedImage, AnnotatedObject, ReferringImage
from .dataset import SceneDataset
from .drawings import DrawingSet
from .photos import Split
from .readings import SceneReading, check_share

__all__ = ["DISTINCTIONS", "SceneExpressions", "expressions_of", "read_scene_expressions"]

DISTINCTIONS = (
    *("left", "right", "upper", "lower", "larger", "smaller"),
    *("leftmost", "rightmost", "uppermost", "lowermost", "largest", "smallest"),
)
"""The words that tell one of two objects of a class, and one of several."""
_CLEARLY_LARGER = 1.4
"""The larger of two covers so many times the area of the other, or neither is called larger."""
_CLEARLY_APART = 0.08
"""Centres lie so much of the image apart, or neither is called the left one."""


def expressions_of(record: AnnotatedImage) -> list[tuple[str, AnnotatedObject]]:
    """Every expression that means exactly one object of a scene.

    An object that is alone in its class is named by it; of several, one is told by where it lies or
    by its size; and any by the place of another that is alone in its class.
    """
    size, found = record.open().size, []
    for item in record.objects:
        same = [other for other in record.objects if other.name == item.name]
        words = ["the {}"] if len(same) == 1 else list(_distinctions(item, same, size))
        found += [(word.format(item.name), item) for word in words]
    return [*found, *_relations(record.objects, size[0])]


def _distinctions(
    item: AnnotatedObject, same: Sequence[AnnotatedObject], size: tuple[int, int]
) -> Iterator[str]:
    """What tells one object from the others of its class, in an image of `size` (width, height)."""
    others = [other for other in same if other is not item]
    width, height = size
    two = len(same) == 2
    for axis, side, (first, last) in (
        (0, width, ("left", "right")),
        (1, height, ("upper", "lower")),
    ):
        gaps = [_centre(item, axis) - _centre(other, axis) for other in others]
        if all(gap < -_CLEARLY_APART * side for gap in gaps):
            yield f"the {first} {{}}" if two else f"the {first}most {{}}"
        if all(gap > _CLEARLY_APART * side for gap in gaps):
            yield f"the {last} {{}}" if two else f"the {last}most {{}}"
    ratios = [_area(item) / _area(other) for other in others]
    if all(ratio > _CLEARLY_LARGER for ratio in ratios):
        yield "the larger {}" if two else "the largest {}"
    if all(ratio < 1 / _CLEARLY_LARGER for ratio in ratios):
        yield "the smaller {}" if two else "the smallest {}"


def _relations(
    objects: Sequence[AnnotatedObject], width: int
) -> Iterator[tuple[str, AnnotatedObject]]:
    """Objects told by another one, in an image of `width` pixels: `the dog left of the apple`."""
    names = [item.name for item in objects]
    for anchor in (item for item in objects if names.count(item.name) == 1):
        for name in dict.fromkeys(names):
            if name == anchor.name:
                continue
            for side, sign in (("left", -1), ("right", 1)):
                fitting = [
                    item
                    for item in objects
                    if item.name == name
                    and sign * (_centre(item, 0) - _centre(anchor, 0)) > _CLEARLY_APART * width
                ]
                if len(fitting) == 1:
                    yield f"the {name} {side} of the {anchor.name}", fitting[0]


class SceneExpressions(SceneReading[ReferringImage]):
    """One expression for each scene; index and seed decide which."""

    def __init__(self, scenes: SceneDataset, absent: float) -> None:
        check_share("absent", absent)
        super().__init__(scenes)
        self.absent = absent

    def record(self, index: int) -> ReferringImage:
        """The scene, and one of its expressions or the name of what it lacks."""
        scene = self.scenes.record(index)
        rng = random.Random(f"expression of {scene.key}")
        choices = expressions_of(scene)
        missing = [name for name in scene.categories if name not in _names(scene)]
        if not choices or rng.random() < self.absent:
            text, meant = f"the {rng.choice(missing)}", []
        else:
            text, item = rng.choice(choices)
            meant = [item]
        return ReferringImage(scene.image, text, tuple(meant), f"{scene.key}/{text}")


def read_scene_expressions(
    split: Split = "train",
    drawings: DrawingSet = "seen",
    num_scenes: int = 1000,
    seed: int = 0,
    size: int = 128,
    max_objects: int = 4,
    num_kinds: int | None = 2,
    absent: float = 0.1,
) -> SceneExpressions:
    """The built-in scenes with referring expressions, as format `scenes` of the task `grounding`.

    Args:
        split: Which photographs.
        drawings: Which drawings of each class.
        num_scenes: How many scenes.
        seed: Of the scenes.
        size: Side of a scene in pixels.
        max_objects: The most objects of a scene.
        num_kinds: The most classes of a scene; few make expressions that tell one of several.
        absent: Share of the expressions that mean nothing in the scene.
    """
    scenes = SceneDataset(split, drawings, num_scenes, seed, size, max_objects, num_kinds)
    return SceneExpressions(scenes, absent)


def _names(scene: AnnotatedImage) -> set[str]:
    return {item.name for item in scene.objects}


def _centre(item: AnnotatedObject, axis: int) -> float:
    return (item.bbox[axis] + item.bbox[axis + 2]) / 2


def _area(item: AnnotatedObject) -> float:
    """Of the box: an occluded object looks smaller than it is, and its box less so."""
    x1, y1, x2, y2 = item.bbox
    return (x2 - x1) * (y2 - y1)
