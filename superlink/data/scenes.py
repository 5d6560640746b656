"""The built-in scenes as a dataset.

Everything comes out of installed packages and a seed, so that a demo needs no download.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

from ..errors import ConfigError
from .composition import SceneConfig, draw_scene, scene_names
from .drawings import DrawingSet
from .photos import Split
from .schema import AnnotatedImage

__all__ = ["SceneConfig", "SceneDataset", "draw_scene", "read_scenes", "scene_names"]


class SceneDataset(Sequence[AnnotatedImage]):
    """Scenes that are drawn when they are asked for; index and seed decide what they show."""

    def __init__(
        self,
        split: Split = "train",
        drawings: DrawingSet = "seen",
        num_scenes: int = 1000,
        seed: int = 0,
        size: int = 128,
        max_objects: int = 4,
    ) -> None:
        if num_scenes < 1 or not 0 <= seed < 2**31:
            raise ConfigError(
                "A scene dataset needs at least one scene and a seed from 0 to 2**31 - 1. "
                f"Received: num_scenes={num_scenes}, seed={seed}"
            )
        self.config = SceneConfig(size, split, drawings, max_objects)
        self.num_scenes = num_scenes
        self.seed = seed

    def __len__(self) -> int:
        return self.num_scenes

    @overload
    def __getitem__(self, index: int) -> AnnotatedImage: ...
    @overload
    def __getitem__(self, index: slice) -> list[AnnotatedImage]: ...
    def __getitem__(self, index: int | slice) -> AnnotatedImage | list[AnnotatedImage]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"Scene {index} of {len(self)}")
        # Seeds lie so far apart that the scenes of two datasets never overlap.
        return draw_scene(self.config, self.seed * 2**32 + index % len(self))


def read_scenes(
    split: Split = "train",
    drawings: DrawingSet = "seen",
    num_scenes: int = 1000,
    seed: int = 0,
    size: int = 128,
    max_objects: int = 4,
) -> SceneDataset:
    """The built-in scenes as a reader: what a recipe names as format `scenes`."""
    return SceneDataset(split, drawings, num_scenes, seed, size, max_objects)
