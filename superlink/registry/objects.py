"""Import what a dotted path names: classes and functions of plugins, on first use."""

from __future__ import annotations

from importlib import import_module
from operator import attrgetter
from typing import Any

from ..errors import PluginError

__all__ = ["load_object"]


def load_object(path: str, owner: str = "") -> Any:
    """Import the object that `path` names.

    Args:
        path: `package.module:name`; the name may have dots.
        owner: Who gave the path, for errors: `decoder 'toy.box' of superlink-toy 0.1`.

    Raises:
        PluginError: The path is malformed, its module cannot be imported, or lacks the name; the
            original error is chained.
    """
    where = f" of {owner}" if owner else ""
    module, separator, name = path.partition(":")
    if not (separator and module and name):
        raise PluginError(
            f"Expected a dotted path 'package.module:name'{where}. Received: {path!r}"
        )
    try:
        return attrgetter(name)(import_module(module))
    except Exception as error:  # a plugin's module may raise anything
        raise PluginError(
            f"Cannot import {path!r}{where}. "
            f"Received: {type(error).__name__}: {error}. "
            "Install what is missing, or report this to whoever maintains it."
        ) from error
