"""superlink links any multimodal LLM to task decoders.

Names are imported when they are first used: most need torch, which takes its time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .lazy import lazy_names

if TYPE_CHECKING:
    from .build import ModelConfig, attach, build_model, load
    from .chat import Chat
    from .checkpoint import save
    from .errors import SuperLinkError
    from .interfaces import (
        IMAGE,
        REGION,
        Backbone,
        BackboneSpec,
        DecoderSpec,
        Geometry,
        InstancePrediction,
        Message,
        Prediction,
        Region,
        Reply,
        Sample,
        TaskDecoder,
        TaskSpec,
    )
    from .model import SuperLinkModel
    from .registry import hookimpl
    from .tasks.finding import find_classes

__all__ = [
    "IMAGE",
    "REGION",
    "Backbone",
    "BackboneSpec",
    "Chat",
    "DecoderSpec",
    "Geometry",
    "InstancePrediction",
    "Message",
    "ModelConfig",
    "Prediction",
    "Region",
    "Reply",
    "Sample",
    "SuperLinkError",
    "SuperLinkModel",
    "TaskDecoder",
    "TaskSpec",
    "attach",
    "build_model",
    "find_classes",
    "hookimpl",
    "load",
    "save",
]

_MODULES = {
    "build": ("ModelConfig", "attach", "build_model", "load"),
    "chat": ("Chat",),
    "checkpoint": ("save",),
    "errors": ("SuperLinkError",),
    "interfaces": (
        "IMAGE",
        "REGION",
        "Backbone",
        "BackboneSpec",
        "DecoderSpec",
        "Geometry",
        "InstancePrediction",
        "Message",
        "Prediction",
        "Region",
        "Reply",
        "Sample",
        "TaskDecoder",
        "TaskSpec",
    ),
    "model": ("SuperLinkModel",),
    "registry": ("hookimpl",),
    "tasks.finding": ("find_classes",),
}
__getattr__, __dir__ = lazy_names(__name__, _MODULES)
