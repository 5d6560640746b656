"""What superlink itself offers, declared through the hooks that every plugin uses."""

from __future__ import annotations

from collections.abc import Iterator

from .interfaces import BackboneSpec, TaskSpec
from .registry import hookimpl
from .tasks.specs import (
    CLASS_LIST,
    COUNTING,
    DETECTION,
    DIALOGUE,
    EDITING,
    GENERATION,
    GROUNDED_CAPTION,
    GROUNDING,
    IN_CONTEXT_SEGMENTATION,
    IN_CONTEXT_TEXT,
    INTERACTIVE_SEGMENTATION,
    KEYPOINT_LIST,
    POSE,
    REGION_CAPTION,
    REGION_QA,
    REGION_RECOGNITION,
    SALIENT_OBJECT,
    SEMANTIC_SEGMENTATION,
)

__all__ = ["superlink_backbones", "superlink_tasks"]


@hookimpl
def superlink_tasks() -> Iterator[TaskSpec]:
    """The tasks below `superlink.tasks`."""
    yield DETECTION
    yield GROUNDING
    yield GROUNDED_CAPTION
    yield SEMANTIC_SEGMENTATION
    yield SALIENT_OBJECT
    yield COUNTING
    yield POSE
    yield INTERACTIVE_SEGMENTATION
    yield REGION_RECOGNITION
    yield REGION_CAPTION
    yield REGION_QA
    yield IN_CONTEXT_SEGMENTATION
    yield IN_CONTEXT_TEXT
    yield GENERATION
    yield EDITING
    yield DIALOGUE
    yield CLASS_LIST
    yield KEYPOINT_LIST


@hookimpl
def superlink_backbones() -> Iterator[BackboneSpec]:
    """The backbones below `superlink.backbones`."""
    yield BackboneSpec(
        name="tiny_llava",
        factory="superlink.backbones.tiny_llava:build_tiny_llava",
        config_class="superlink.backbones.tiny_llava:TinyLlavaConfig",
    )
    yield BackboneSpec(
        name="transformers",
        factory="superlink.backbones.loading:build_backbone",
        config_class="superlink.backbones.loading:TransformersConfig",
    )
