"""The pytest plugin: its fixtures are there without a conftest, and cost nothing until they are
used."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

import superlink
from superlink.errors import PluginError
from superlink.registry import Registry, default_registry

pytest_plugins = ["pytester"]

PLUGIN = """
from dataclasses import replace
from superlink.registry import hookimpl
from superlink.testing import TOY_BOX

@hookimpl
def superlink_decoders():
    yield replace(TOY_BOX, name="acme.box")
"""


def test_pytest_finds_the_plugin_by_its_entry_point():
    (point,) = entry_points(group="pytest11", name="superlink")
    assert point.value == "superlink.testing.pytest_plugin"


def test_fixtures_are_there_without_a_conftest(pytester):
    pytester.makepyfile(
        f"""
        from superlink.registry import default_registry

        def test_plugin(superlink_plugin, tiny_backbone_factory):
            folder = superlink_plugin("superlink-acme", {{"superlink_acme": {PLUGIN!r}}})
            assert folder.is_dir()
            assert default_registry().decoder("acme.box").num_queries == 2
            assert tiny_backbone_factory("llava").hidden_size == 64

        def test_plugin_is_gone():
            names = [entry.name for entry in default_registry().entries()]
            assert "acme.box" not in names
        """
    )
    pytester.runpytest().assert_outcomes(passed=2)


def test_registry_without_plugins_offers_what_is_built_in(refusing_registry):
    assert refusing_registry.backbone("tiny_llava").name == "tiny_llava"
    assert {entry.distribution for entry in refusing_registry.entries()} == {"superlink"}


def test_discovery_is_refused_while_the_fixture_is_in_use(refusing_registry):
    for ask in (default_registry, Registry.discover, lambda: superlink.attach("x", decoders=["y"])):
        with pytest.raises(PluginError, match="fixture `refusing_registry`"):
            ask()


def test_given_entry_points_are_still_loaded(refusing_registry):
    assert Registry.discover(()).entries() == refusing_registry.entries()


def test_discovery_works_again_afterwards():
    assert default_registry() is default_registry()


def test_plugin_imports_nothing_that_superlink_does_not():
    code = (
        "import sys, pytest, superlink\n"
        "before = set(sys.modules)\n"
        "import superlink.testing.pytest_plugin\n"
        "print(*sorted(set(sys.modules) - before))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name for name in done.stdout.split() if name.startswith("superlink")}
    assert loaded == {"superlink.testing", "superlink.testing.pytest_plugin"}
    assert len(done.stdout.split()) < 10
