"""The built-in scenes: drawings with exact annotations on photographs and painted landscapes."""

from .attribution import attribution
from .captioning import read_scene_captions
from .composition import SceneConfig, draw_scene, draw_scene_and_stuff, scene_names
from .counting import read_scene_counts
from .dataset import SceneDataset, read_scenes
from .describing import read_described_scenes, read_scene_phrases
from .figure import KEYPOINT_NAMES
from .landscape import stuff_names
from .poses import read_scene_poses
from .referring import read_scene_expressions
from .region_descriptions import read_scene_descriptions, read_scenes_by_description
from .regions import read_scene_regions

__all__ = [
    "KEYPOINT_NAMES",
    "SceneConfig",
    "SceneDataset",
    "attribution",
    "draw_scene",
    "draw_scene_and_stuff",
    "read_described_scenes",
    "read_scene_captions",
    "read_scene_counts",
    "read_scene_descriptions",
    "read_scene_expressions",
    "read_scene_phrases",
    "read_scene_poses",
    "read_scene_regions",
    "read_scenes",
    "read_scenes_by_description",
    "scene_names",
    "stuff_names",
]
