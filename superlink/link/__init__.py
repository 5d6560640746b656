"""The mechanism, knowing neither a decoder nor a model library."""

from .connector import Connector
from .embedding import LinkHooks, StateTap
from .generation import GenerationOptions, decode, generate
from .processing import Batch, Processor
from .queries import SuperLinkQueries, module_key
from .regions import RegionConfig, RegionEncoder
from .routing import Binding, ParsedText, RoutingVocabulary, written_tokens
from .rows import GeneratedRow

__all__ = [
    "Batch",
    "Binding",
    "Connector",
    "GeneratedRow",
    "GenerationOptions",
    "LinkHooks",
    "ParsedText",
    "Processor",
    "RegionConfig",
    "RegionEncoder",
    "RoutingVocabulary",
    "StateTap",
    "SuperLinkQueries",
    "decode",
    "generate",
    "module_key",
    "written_tokens",
]
