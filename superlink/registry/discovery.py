"""Find plugins and load them one by one, so that a broken one breaks nothing else."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pluggy import PluginManager

from ..errors import PluginError
from ..interfaces import (
    PLUGIN_API_VERSION,
    BackboneSpec,
    DecoderSpec,
    Requirement,
    TaskSpec,
)
from . import hookspecs
from .requirements import parse_alternatives
from .suggestions import suggest

__all__ = ["GROUP", "Plugin", "PluginWarning", "Spec", "load_plugin", "load_plugins"]

GROUP = "superlink"
"""The entry-point group."""

Spec = DecoderSpec | TaskSpec | BackboneSpec

_HOOKS: Mapping[str, type[Spec]] = {
    "superlink_decoders": DecoderSpec,
    "superlink_tasks": TaskSpec,
    "superlink_backbones": BackboneSpec,
}


class PluginWarning(UserWarning):
    """An installed plugin of superlink cannot be used; everything else works."""


@dataclass(frozen=True)
class Plugin:
    """One entry point, loaded or not."""

    name: str
    """Name of the entry point."""
    distribution: str
    """Name of the distribution that declares it."""
    version: str
    """Version of that distribution."""
    specs: tuple[Spec, ...] = ()
    """What it declares; of a broken plugin, what it declared before it broke."""
    error: Exception | None = None
    """Why it is broken."""
    disabled: bool = False
    """Whether the environment switched it off."""

    def __str__(self) -> str:
        return f"plugin {self.name!r} of {self.distribution} {self.version}".rstrip()


def load_plugins(points: Iterable[EntryPoint] | None = None) -> tuple[Plugin, ...]:
    """Load every entry point that the environment allows, in the order of distribution and name.

    `SUPERLINK_PLUGINS` names the only entry points to load (empty: none), and
    `SUPERLINK_DISABLED_PLUGINS` those to leave out; both are separated by commas.

    Args:
        points: What to load instead of what is installed.
    """
    found = sorted(
        entry_points(group=GROUP) if points is None else points,
        key=lambda point: (_distribution(point), point.name),
    )
    only, disabled = _names_in("SUPERLINK_PLUGINS"), _names_in("SUPERLINK_DISABLED_PLUGINS")
    _warn_of_unknown(only, "SUPERLINK_PLUGINS", found)
    _warn_of_unknown(disabled, "SUPERLINK_DISABLED_PLUGINS", found)
    return tuple(
        Plugin(point.name, *_distribution(point), disabled=True)
        if point.name in (disabled or ()) or (only is not None and point.name not in only)
        else load_plugin(point, *_distribution(point))
        for point in found
    )


def load_plugin(point: EntryPoint, distribution: str, version: str) -> Plugin:
    """Load one entry point; whatever goes wrong is one warning and the `error` of the plugin."""
    specs: list[Spec] = []
    error: Exception | None = None
    try:
        for spec in _declared(point.load(), point.name):
            specs.append(spec)
            _check_spec(spec)
    except (Exception, SystemExit) as raised:  # a plugin may raise anything, or exit
        error = raised if isinstance(raised, Exception) else PluginError(f"exited: {raised}")
    plugin = Plugin(point.name, distribution, version, tuple(specs), error)
    if error is not None:
        warnings.warn(
            f"The {plugin} cannot be used: {type(error).__name__}: {error}",
            PluginWarning,
            stacklevel=2,
        )
    return plugin


def _declared(module: Any, name: str) -> Iterator[Spec]:
    """Call the hooks of one plugin. It has a manager of its own: pluggy calls a hook in all plugins
    at once, and the first that raises takes the others down."""
    manager = PluginManager("superlink")
    manager.add_hookspecs(hookspecs)
    manager.register(module, name)
    _check_hook_names(manager, module)
    for hook, kind in _HOOKS.items():
        for result in getattr(manager.hook, hook)():
            if not isinstance(result, Iterable):
                raise PluginError(f"{hook}() must yield specs. Received: {result!r:.200}")
            for spec in result:
                if not isinstance(spec, kind):
                    raise PluginError(
                        f"{hook}() must yield {kind.__name__}. Received: {spec!r:.200}"
                    )
                yield spec


def _check_hook_names(manager: PluginManager, module: Any) -> None:
    """Raise where the plugin misspells a hook, forgets a marker, or implements nothing."""
    callers = manager.get_hookcallers(module) or []
    for caller in callers:
        if not caller.has_spec():
            raise PluginError(f"There is no hook {caller.name!r}. {suggest(caller.name, _HOOKS)}")
    implemented = {caller.name for caller in callers}
    for name in _HOOKS:
        if name not in implemented and callable(getattr(module, name, None)):
            raise PluginError(f"{name}() lacks its marker. Write @superlink.registry.hookimpl.")
    if not implemented:
        raise PluginError(
            "A plugin implements at least one hook, marked by @superlink.registry.hookimpl. "
            f"Received: none of {', '.join(_HOOKS)}"
        )


def _check_spec(spec: Spec) -> None:
    """Raise where a spec is too new, or its requirements cannot be read."""
    if spec.api_version > PLUGIN_API_VERSION:
        raise PluginError(
            f"{spec.name!r} needs plugin API {spec.api_version}, this superlink has "
            f"{PLUGIN_API_VERSION}: upgrade superlink (pip install --upgrade superlink)."
        )
    for requirement in getattr(spec, "requires", ()):
        if not isinstance(requirement, Requirement):
            raise PluginError(
                f"requires of {spec.name!r} must hold Requirement. Received: {requirement!r:.200}"
            )
        parse_alternatives(requirement)


def _distribution(point: EntryPoint) -> tuple[str, str]:
    """Name and version of the distribution that declares an entry point."""
    if point.dist is None:
        return "unknown distribution", ""
    fields = point.dist.metadata  # either field may be missing in a damaged installation
    name, version = (fields[key] if key in fields else "" for key in ("Name", "Version"))
    return name or "unknown distribution", version


def _names_in(variable: str) -> frozenset[str] | None:
    """The names in an environment variable; None where it is not set."""
    value = os.environ.get(variable)
    return None if value is None else frozenset(filter(None, map(str.strip, value.split(","))))


def _warn_of_unknown(names: frozenset[str] | None, variable: str, found: list[EntryPoint]) -> None:
    known = {point.name for point in found}
    for name in sorted((names or frozenset()) - known):
        warnings.warn(
            f"{variable} names {name!r}, which is not installed. {suggest(name, known)}",
            PluginWarning,
            stacklevel=3,
        )
