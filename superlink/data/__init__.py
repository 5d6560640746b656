"""Annotated images: their schema, readers, and the built-in scenes."""

from .coco_export import export_coco
from .problems import Problem, Problems
from .readers.coco import CocoDataset, read_coco
from .records import Records
from .scenes import (
    KEYPOINT_NAMES,
    SceneConfig,
    SceneDataset,
    attribution,
    draw_scene,
    read_scenes,
    scene_names,
)
from .schema import AnnotatedImage, AnnotatedObject, CountedImage, Dialogue, ReferringImage

__all__ = [
    "KEYPOINT_NAMES",
    "AnnotatedImage",
    "AnnotatedObject",
    "CocoDataset",
    "CountedImage",
    "Dialogue",
    "Problem",
    "Problems",
    "Records",
    "ReferringImage",
    "SceneConfig",
    "SceneDataset",
    "attribution",
    "draw_scene",
    "export_coco",
    "read_coco",
    "read_scenes",
    "scene_names",
]
