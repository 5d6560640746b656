"""The built-in scenes as a dataset.

Everything comes out of installed packages and a seed, so that a demo needs no download.
"""

from __future__ import annotations

from ...errors import ConfigError
from ..problems import Problems
from ..records import Records
from ..schema import AnnotatedImage
from .composition import Background, SceneConfig, draw_scene
from .drawings import DrawingSet
from .photos import Split

__all__ = ["SceneDataset", "read_scenes"]


class SceneDataset(Records[AnnotatedImage]):
    """Scenes that are drawn when they are asked for; index and seed decide what they show."""

    def __init__(
        self,
        split: Split = "train",
        drawings: DrawingSet = "seen",
        num_scenes: int = 1000,
        seed: int = 0,
        size: int = 128,
        max_objects: int = 4,
        num_kinds: int | None = None,
        background: Background = "photo",
    ) -> None:
        if num_scenes < 1 or not 0 <= seed < 2**31:
            raise ConfigError(
                "A scene dataset needs at least one scene and a seed from 0 to 2**31 - 1. "
                f"Received: num_scenes={num_scenes}, seed={seed}"
            )
        self.config = SceneConfig(size, split, drawings, max_objects, num_kinds, background)
        self.num_scenes = num_scenes
        self.seed = seed
        self.problems = Problems()

    def __len__(self) -> int:
        return self.num_scenes

    def record(self, index: int) -> AnnotatedImage:
        """Draw one scene."""
        return draw_scene(self.config, self.scene_seed(index))

    def scene_seed(self, index: int) -> int:
        """The seed of one scene; those of two datasets with different seeds never overlap."""
        return self.seed * 2**32 + index


def read_scenes(
    split: Split = "train",
    drawings: DrawingSet = "seen",
    num_scenes: int = 1000,
    seed: int = 0,
    size: int = 128,
    max_objects: int = 4,
    num_kinds: int | None = None,
    background: Background = "photo",
) -> SceneDataset:
    """The built-in scenes as a reader: what a recipe names as format `scenes`.

    Args:
        split: Which photographs or landscapes stand behind, and which random draws are made.
        drawings: `held_out` shows each class by the one drawing that `seen` never uses.
        num_scenes: How many scenes.
        seed: Of the scenes.
        size: Height and width in pixels.
        max_objects: The most objects of a scene.
        num_kinds: The most classes of a scene; None: any.
        background: What stands behind the objects: `photo`, or a painted `landscape`.
    """
    return SceneDataset(split, drawings, num_scenes, seed, size, max_objects, num_kinds, background)
