"""Fixtures for the tests of plugins. pytest finds them by itself where superlink is installed; they
import what they need when they are used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ..backbones.transformers import TransformersBackbone
    from ..registry import Registry

__all__ = ["refusing_registry", "superlink_plugin", "tiny_backbone_factory"]


@pytest.fixture
def refusing_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """A registry without any installed plugin; during the test nobody can look for them.

    Whoever asks `default_registry()`, or leaves a `registry` argument out, gets an error: a test
    that passes does not depend on what else is installed.
    """
    from ..errors import PluginError
    from ..registry import Registry, default_registry

    discover = Registry.discover

    def refuse(entry_points: Any = None) -> Registry:
        if entry_points is None:
            raise PluginError(
                "The fixture `refusing_registry` allows no discovery of installed plugins in this "
                "test. Hand the registry that it gives on: `registry=refusing_registry`."
            )
        return discover(entry_points)

    registry = discover(())
    default_registry.cache_clear()
    monkeypatch.setattr(Registry, "discover", refuse)
    yield registry
    default_registry.cache_clear()


@pytest.fixture
def superlink_plugin() -> Iterator[Callable[..., Path]]:
    """Install distributions for the length of the test.

    `superlink_plugin("superlink-acme", {"superlink_acme.plugin": source})` gives the folder that
    holds it; the arguments are those of `superlink.testing.installed_plugin`.
    """
    from .plugins import installed_plugin

    with ExitStack() as stack:

        def install(distribution: str, sources: Mapping[str, str], **options: Any) -> Path:
            return stack.enter_context(installed_plugin(distribution, sources, **options))

        yield install


@pytest.fixture
def tiny_backbone_factory() -> Callable[..., TransformersBackbone]:
    """`superlink.testing.tiny_backbone`: a random multimodal LLM with a working processor."""
    from .backbones import tiny_backbone

    return tiny_backbone
