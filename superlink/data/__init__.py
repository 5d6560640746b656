"""Annotated images: their schema, readers, and the built-in scenes."""

from .attribution import attribution
from .coco import CocoDataset, export_coco, read_coco
from .figure import KEYPOINT_NAMES
from .scenes import SceneConfig, SceneDataset, draw_scene, read_scenes, scene_names
from .schema import AnnotatedImage, AnnotatedObject

__all__ = [
    "KEYPOINT_NAMES",
    "AnnotatedImage",
    "AnnotatedObject",
    "CocoDataset",
    "SceneConfig",
    "SceneDataset",
    "attribution",
    "draw_scene",
    "export_coco",
    "read_coco",
    "read_scenes",
    "scene_names",
]
