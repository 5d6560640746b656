"""Which decoders, tasks and backbones are installed, and how they are built."""

from .configs import validate_config
from .discovery import PluginWarning
from .entries import Entry, Kind, Status
from .hookspecs import hookimpl
from .manager import Registry, default_registry
from .objects import load_object

__all__ = [
    "Entry",
    "Kind",
    "PluginWarning",
    "Registry",
    "Status",
    "default_registry",
    "hookimpl",
    "load_object",
    "validate_config",
]
