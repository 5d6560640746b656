"""The registry: every decoder, task and backbone that is installed, by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib import metadata
from importlib.metadata import EntryPoint
from typing import Any, Literal, overload

from pydantic import BaseModel

from ..interfaces import Backbone, BackboneSpec, DecoderSpec, TaskDecoder, TaskSpec
from .building import build_claim
from .claims import KINDS, Claim, find_claim
from .discovery import GROUP, Plugin, load_plugin, load_plugins
from .entries import Entry, Kind
from .objects import load_object
from .report import report_entries

__all__ = ["Registry", "default_registry"]

Config = Mapping[str, Any] | BaseModel | None


class Registry:
    """What a set of plugins declares, read-only.

    Names are checked when they are asked for: a broken plugin, or a name that two distributions
    claim, troubles nobody who uses something else. Tokens are not checked here at all; they are
    bound, and may clash, in a model.

    Args:
        plugins: The plugins, loaded.
    """

    def __init__(self, plugins: Iterable[Plugin]) -> None:
        self._plugins = tuple(plugins)

    @classmethod
    def discover(cls, entry_points: Iterable[EntryPoint] | None = None) -> Registry:
        """Load what superlink offers itself, and every plugin that the environment allows.

        Args:
            entry_points: What to load instead of the installed entry points of group `superlink`.
        """
        builtin = EntryPoint("superlink", "superlink.builtin", GROUP)
        own = load_plugin(builtin, "superlink", metadata.version("superlink"))
        return cls((own, *load_plugins(entry_points)))

    def decoder(self, name: str) -> DecoderSpec:
        """The spec of a task decoder.

        Raises:
            PluginConflictError: Two plugins claim the name.
            PluginError: No plugin declares it, or the one that does is broken.
        """
        return find_claim(self._plugins, DecoderSpec, name).spec

    def task(self, name: str) -> TaskSpec:
        """The spec of a task; raises as `decoder` does."""
        return find_claim(self._plugins, TaskSpec, name).spec

    def backbone(self, name: str) -> BackboneSpec:
        """The spec of a backbone; raises as `decoder` does."""
        return find_claim(self._plugins, BackboneSpec, name).spec

    def entries(self) -> list[Entry]:
        """One record for each spec, and for each plugin that is disabled or could not say any."""
        return report_entries(self._plugins)

    def distribution_of(self, kind: Kind, name: str) -> tuple[str, str]:
        """Name and version of the distribution that declares `name`; raises as `decoder` does."""
        plugin = self._claim(kind, name).plugin
        return plugin.distribution, plugin.version

    def load(self, kind: Kind, name: str, path: str) -> Any:
        """Import a dotted path of the spec `name`; errors name its plugin and distribution.

        Raises:
            PluginError: As `decoder` and `load_object` do.
        """
        return load_object(path, str(self._claim(kind, name)))

    @overload
    def build(self, kind: Literal["decoder"], name: str, config: Config = None) -> TaskDecoder: ...

    @overload
    def build(self, kind: Literal["backbone"], name: str, config: Config = None) -> Backbone: ...

    def build(
        self, kind: Literal["decoder", "backbone"], name: str, config: Config = None
    ) -> TaskDecoder | Backbone:
        """Build a task decoder or a backbone.

        Args:
            kind: Which of both.
            name: Name of its spec.
            config: Values for the config class of the spec, or an instance of it; None means all
                defaults.

        Raises:
            MissingDependencyError: A distribution that it needs is not installed.
            ConfigError: `config` does not fit.
            PluginError: As `decoder` does; also where what the spec names cannot be imported, or is
                not what it should be.
        """
        if kind == "decoder":
            return build_claim(find_claim(self._plugins, DecoderSpec, name), config)
        return build_claim(find_claim(self._plugins, BackboneSpec, name), config)

    def _claim(self, kind: Kind, name: str) -> Claim[Any]:
        return find_claim(self._plugins, KINDS[kind], name)


@cache
def default_registry() -> Registry:
    """The registry of this process; plugins are looked for on the first call."""
    return Registry.discover()
