"""What a third party implements, declares or receives."""

from .backbone import Backbone
from .decoder import TaskDecoder
from .geometry import Geometry
from .images import open_image
from .results import Canvas, InstancePrediction, Prediction, Reply, RouteFailure
from .specs import PLUGIN_API_VERSION, BackboneSpec, DecoderSpec, Requirement, TaskSpec
from .structures import (
    IMAGE,
    BackboneOutput,
    Call,
    CallInput,
    DecoderInputs,
    ImageFeatures,
    ImagePart,
    LinkedQueries,
    LossTerm,
    Message,
    Route,
    Sample,
    SuperLinkOutput,
)

__all__ = [
    "IMAGE",
    "PLUGIN_API_VERSION",
    "Backbone",
    "BackboneOutput",
    "BackboneSpec",
    "Call",
    "CallInput",
    "Canvas",
    "DecoderInputs",
    "DecoderSpec",
    "Geometry",
    "ImageFeatures",
    "ImagePart",
    "InstancePrediction",
    "LinkedQueries",
    "LossTerm",
    "Message",
    "Prediction",
    "Reply",
    "Requirement",
    "Route",
    "RouteFailure",
    "Sample",
    "SuperLinkOutput",
    "TaskDecoder",
    "TaskSpec",
    "open_image",
]
