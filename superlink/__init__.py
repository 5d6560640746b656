"""superlink links any multimodal LLM to task decoders.

Names are imported when they are first used: most need torch, which takes its time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .build import ModelConfig, attach, build_model, load
    from .checkpoint import save
    from .errors import SuperLinkError
    from .interfaces import (
        IMAGE,
        Backbone,
        BackboneSpec,
        DecoderSpec,
        Geometry,
        InstancePrediction,
        Message,
        Prediction,
        Reply,
        Sample,
        TaskDecoder,
        TaskSpec,
    )
    from .model import SuperLinkModel
    from .registry import hookimpl

__all__ = [
    "IMAGE",
    "Backbone",
    "BackboneSpec",
    "DecoderSpec",
    "Geometry",
    "InstancePrediction",
    "Message",
    "ModelConfig",
    "Prediction",
    "Reply",
    "Sample",
    "SuperLinkError",
    "SuperLinkModel",
    "TaskDecoder",
    "TaskSpec",
    "attach",
    "build_model",
    "hookimpl",
    "load",
    "save",
]

_MODULES = {
    "build": ("ModelConfig", "attach", "build_model", "load"),
    "checkpoint": ("save",),
    "errors": ("SuperLinkError",),
    "interfaces": (
        "IMAGE",
        "Backbone",
        "BackboneSpec",
        "DecoderSpec",
        "Geometry",
        "InstancePrediction",
        "Message",
        "Prediction",
        "Reply",
        "Sample",
        "TaskDecoder",
        "TaskSpec",
    ),
    "model": ("SuperLinkModel",),
    "registry": ("hookimpl",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import the module that holds `name`, and keep what it gives."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, imported or not."""
    return sorted({*globals(), *__all__})
