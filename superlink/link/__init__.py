"""The mechanism, knowing neither a decoder nor a model library."""

from .connector import Connector
from .embedding import LinkHooks, StateTap
from .generation import GeneratedRow, generate
from .processing import Batch, Processor
from .queries import SuperLinkQueries, module_key
from .routing import Binding, ParsedText, RoutingVocabulary

__all__ = [
    "Batch",
    "Binding",
    "Connector",
    "GeneratedRow",
    "LinkHooks",
    "ParsedText",
    "Processor",
    "RoutingVocabulary",
    "StateTap",
    "SuperLinkQueries",
    "generate",
    "module_key",
]
