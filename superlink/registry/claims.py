"""Who declares a name: one plugin, two that clash, a broken one, or nobody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ..errors import PluginConflictError, PluginError
from ..interfaces import BackboneSpec, DecoderSpec, TaskSpec
from .discovery import Plugin, Spec
from .entries import Kind
from .suggestions import suggest

__all__ = ["KINDS", "Claim", "conflict_text", "find_claim"]

KINDS: Mapping[Kind, type[Spec]] = {
    "decoder": DecoderSpec,
    "task": TaskSpec,
    "backbone": BackboneSpec,
}

SpecT = TypeVar("SpecT", DecoderSpec, TaskSpec, BackboneSpec)


@dataclass(frozen=True)
class Claim(Generic[SpecT]):
    """A spec and the plugin that declares it."""

    plugin: Plugin
    """The plugin."""
    spec: SpecT
    """The spec."""

    @property
    def kind(self) -> Kind:
        """What the spec declares."""
        return _kind_of(type(self.spec))

    def __str__(self) -> str:
        return f"{self.kind} {self.spec.name!r} ({self.plugin})"


def find_claim(plugins: Sequence[Plugin], cls: type[SpecT], name: str) -> Claim[SpecT]:
    """The one working plugin that declares `name`.

    Args:
        plugins: All plugins.
        cls: Class of the spec.
        name: Name of the spec.

    Raises:
        PluginConflictError: Two working plugins declare it.
        PluginError: None does; where a broken one seems to, its error is chained.
    """
    claims = [
        Claim(plugin, spec)
        for plugin in plugins
        for spec in plugin.specs
        if isinstance(spec, cls) and spec.name == name
    ]
    working = [claim for claim in claims if claim.plugin.error is None]
    if len(working) > 1:
        raise PluginConflictError(conflict_text(working))
    if working:
        return working[0]
    owners = [claim.plugin for claim in claims] or [p for p in plugins if _sounds_like(p, name)]
    if owners:
        raise _broken(_kind_of(cls), name, owners[0]) from owners[0].error
    raise _unknown(plugins, cls, name)


def conflict_text(claims: Sequence[Claim[Any]]) -> str:
    """What is wrong where several plugins claim one name."""
    owners = " and ".join(str(claim.plugin) for claim in claims)
    return (
        f"The {claims[0].kind} {claims[0].spec.name!r} is declared by {owners}. Uninstall one of "
        f"them, or leave one out: SUPERLINK_DISABLED_PLUGINS={claims[-1].plugin.name}"
    )


def _kind_of(cls: type[Spec]) -> Kind:
    return next(kind for kind, spec_class in KINDS.items() if issubclass(cls, spec_class))


def _sounds_like(plugin: Plugin, name: str) -> bool:
    """Whether a broken plugin is likely to declare `name`: `acme.boxes` and `superlink-acme`."""
    spoken = {plugin.name, plugin.distribution, plugin.distribution.removeprefix("superlink-")}
    first, *_ = name.split(".")
    return plugin.error is not None and first in {word.replace("-", "_") for word in spoken}


def _broken(kind: Kind, name: str, plugin: Plugin) -> PluginError:
    return PluginError(
        f"The {kind} {name!r} cannot be had: the {plugin} is broken. "
        f"Received: {type(plugin.error).__name__}: {plugin.error}"
    )


def _unknown(plugins: Sequence[Plugin], cls: type[Spec], name: str) -> PluginError:
    known = {
        spec.name
        for plugin in plugins
        for spec in plugin.specs
        if isinstance(spec, cls) and plugin.error is None
    }
    silent = [plugin for plugin in plugins if plugin.disabled or plugin.error is not None]
    may_hold = "; ".join(
        f"the {plugin} ({'disabled' if plugin.disabled else f'broken: {plugin.error}'})"
        for plugin in silent
    )
    hint = f" It may be in what could not be loaded: {may_hold}." if silent else ""
    return PluginError(
        f"There is no {_kind_of(cls)} of this name. Received: {name!r}. "
        f"{suggest(name, known)}{hint}"
    )
