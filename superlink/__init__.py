"""superlink links any multimodal LLM to task decoders."""

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
