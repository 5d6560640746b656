"""Tasks: how annotated data becomes conversations, and how replies are measured."""

from .specs import (
    CLASS_LIST,
    COUNTING,
    DETECTION,
    DIALOGUE,
    GROUNDED_CAPTION,
    GROUNDING,
    SALIENT_OBJECT,
    SEMANTIC_SEGMENTATION,
)

__all__ = [
    "CLASS_LIST",
    "COUNTING",
    "DETECTION",
    "DIALOGUE",
    "GROUNDED_CAPTION",
    "GROUNDING",
    "SALIENT_OBJECT",
    "SEMANTIC_SEGMENTATION",
]
