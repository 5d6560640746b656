"""The built-in scenes: drawings with exact annotations on real photographs."""

from .attribution import attribution
from .composition import SceneConfig, draw_scene, scene_names
from .counting import read_scene_counts
from .dataset import SceneDataset, read_scenes
from .figure import KEYPOINT_NAMES
from .referring import read_scene_expressions

__all__ = [
    "KEYPOINT_NAMES",
    "SceneConfig",
    "SceneDataset",
    "attribution",
    "draw_scene",
    "read_scene_counts",
    "read_scene_expressions",
    "read_scenes",
    "scene_names",
]
