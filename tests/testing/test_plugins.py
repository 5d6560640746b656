"""A fake distribution is found as a real one is, and leaves no trace."""

from __future__ import annotations

import importlib
import sys
from importlib import metadata

import pytest

from superlink.registry import default_registry
from superlink.testing import installed_plugin

SOURCES = {"fake_acme.plugin": "from .parts import VALUE\n", "fake_acme.parts": "VALUE = 7\n"}


def test_installed_plugin_is_a_distribution():
    with installed_plugin("fake-acme", SOURCES, version="2.1") as folder:
        (point,) = metadata.entry_points(group="superlink", name="fake-acme")
        assert (point.dist.name, point.dist.version) == ("fake-acme", "2.1")
        assert point.load().VALUE == 7
        files = {str(file) for file in metadata.files("fake-acme")}
        assert files == {
            str(path.relative_to(folder))
            for path in folder.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }


def test_installed_plugin_leaves_no_trace():
    before, path = set(sys.modules), list(sys.path)
    with installed_plugin("fake-acme", SOURCES) as folder:
        importlib.import_module("fake_acme.plugin")
    assert not folder.exists()
    assert (set(sys.modules), sys.path) == (before, path)
    with pytest.raises(metadata.PackageNotFoundError):
        metadata.version("fake-acme")


def test_installed_plugin_cleans_up_after_an_error():
    path = list(sys.path)
    with pytest.raises(ZeroDivisionError), installed_plugin("fake-acme", SOURCES):
        raise ZeroDivisionError
    assert sys.path == path


def test_installed_plugin_twice_sees_the_second_source():
    for value in (1, 2):
        with installed_plugin("fake-acme", {"fake_acme": f"VALUE = {value}"}):
            assert importlib.import_module("fake_acme").VALUE == value


def test_installed_plugin_renews_the_default_registry(monkeypatch):
    monkeypatch.setenv("SUPERLINK_PLUGINS", "box")
    toy = """
from superlink.registry import hookimpl
from superlink.testing import TOY_BOX

@hookimpl
def superlink_decoders():
    yield TOY_BOX
"""
    with installed_plugin("fake-toy", {"fake_toy": toy}, entry_points={"box": "fake_toy"}):
        assert default_registry().distribution_of("decoder", "toy.box") == ("fake-toy", "1.0")
    monkeypatch.delenv("SUPERLINK_PLUGINS")
    names = {entry.name for entry in default_registry().entries()}
    assert "toy.box" not in names
