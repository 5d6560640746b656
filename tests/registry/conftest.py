"""A registry that sees the fake plugins of a test, and none that is really installed."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.metadata import entry_points

import pytest

from superlink.registry import Registry
from superlink.testing import installed_plugin

HEADER = "from superlink.interfaces import *\nfrom superlink.registry import hookimpl\n"


@pytest.fixture
def install() -> Iterator[Callable[..., None]]:
    """`install("fake-acme", body)` installs a plugin of one module for the length of the test."""
    with ExitStack() as stack:

        def _install(distribution: str, body: str, version: str = "1.0", **modules: str) -> None:
            main = distribution.replace("-", "_")
            sources = {main: HEADER + textwrap.dedent(body)}
            sources |= {name: HEADER + textwrap.dedent(text) for name, text in modules.items()}
            stack.enter_context(installed_plugin(distribution, sources, version=version))

        yield _install


@pytest.fixture
def discover() -> Callable[[], Registry]:
    def _discover() -> Registry:
        found = entry_points(group="superlink")
        return Registry.discover(point for point in found if point.name.startswith("fake-"))

    return _discover


@pytest.fixture
def decoder() -> Callable[..., str]:
    """The source of a hook that declares one decoder."""

    def _decoder(name: str = "acme.boxes", **fields: object) -> str:
        values = {
            "routing_tokens": ("[DET]",),
            "num_queries": 4,
            "factory": "superlink.testing:ToyBoxDecoder",
            "config_class": "superlink.testing:ToyBoxConfig",
        } | fields
        arguments = ", ".join(f"{key}={value!r}" for key, value in values.items())
        return (
            "@hookimpl\ndef superlink_decoders():\n"
            f"    yield DecoderSpec(name={name!r}, {arguments})\n"
        )

    return _decoder
