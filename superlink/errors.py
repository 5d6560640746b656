"""Every error that superlink raises on purpose.

A message says what was expected, what was received and what to do.
"""

from __future__ import annotations

__all__ = [
    "BackboneError",
    "CheckpointError",
    "ConfigError",
    "InputError",
    "MissingDependencyError",
    "PluginConflictError",
    "PluginError",
    "RoutingError",
    "SuperLinkError",
    "TrainingError",
]


class SuperLinkError(Exception):
    """Base of all errors that superlink raises on purpose."""


class ConfigError(SuperLinkError, ValueError):
    """A spec, a config or a recipe holds a value that cannot be used."""


class InputError(SuperLinkError, ValueError):
    """An image, a prompt or a data record cannot be used."""


class RoutingError(SuperLinkError, ValueError):
    """Routing tokens, their slots and their decoders do not fit together."""


class BackboneError(SuperLinkError):
    """A multimodal LLM lacks something that a super link needs."""


class PluginError(SuperLinkError):
    """A plugin is unknown, broken, too new, or declares something invalid."""


class PluginConflictError(PluginError):
    """Two distributions claim the same name, or two decoders the same token."""


class MissingDependencyError(SuperLinkError, ImportError):
    """A package is not installed; the message holds the line that installs it."""


class CheckpointError(SuperLinkError):
    """A folder is not a superlink checkpoint, or does not fit this installation; or a file holds no
    weights that fit."""


class TrainingError(SuperLinkError):
    """A training cannot go on: a loss or a gradient is no finite number, or another process trains
    in its folder."""
