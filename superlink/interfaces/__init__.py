"""What a third party implements, declares or receives."""

from .backbone import Backbone, keep_columns
from .canvas import Canvas
from .decoder import TaskDecoder
from .geometry import Geometry
from .images import open_image
from .keypoints import DEFAULT_SIGMA, KeypointSet
from .lora import LoraChoice
from .pictures import ImagePrediction
from .regions import REGION, REGION_MARK, Region, RegionPart
from .results import (
    Event,
    InstancePrediction,
    Prediction,
    Reply,
    ReplyEvent,
    ResultEvent,
    RouteEvent,
    RouteFailure,
    TextEvent,
)
from .sampling import PlainSampler, Prefill, Sampler
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
    Part,
    Route,
    Sample,
    SuperLinkOutput,
)

__all__ = [
    "DEFAULT_SIGMA",
    "IMAGE",
    "PLUGIN_API_VERSION",
    "REGION",
    "REGION_MARK",
    "Backbone",
    "BackboneOutput",
    "BackboneSpec",
    "Call",
    "CallInput",
    "Canvas",
    "DecoderInputs",
    "DecoderSpec",
    "Event",
    "Geometry",
    "ImageFeatures",
    "ImagePart",
    "ImagePrediction",
    "InstancePrediction",
    "KeypointSet",
    "LinkedQueries",
    "LoraChoice",
    "LossTerm",
    "Message",
    "Part",
    "PlainSampler",
    "Prediction",
    "Prefill",
    "Region",
    "RegionPart",
    "Reply",
    "ReplyEvent",
    "Requirement",
    "ResultEvent",
    "Route",
    "RouteEvent",
    "RouteFailure",
    "Sample",
    "Sampler",
    "SuperLinkOutput",
    "TaskDecoder",
    "TaskSpec",
    "TextEvent",
    "keep_columns",
    "open_image",
]
