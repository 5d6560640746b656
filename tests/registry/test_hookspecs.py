"""The docstring of each hook is a working plugin."""

from __future__ import annotations

import textwrap
from importlib.metadata import entry_points

import pytest

from superlink.registry import Registry, hookspecs
from superlink.testing import installed_plugin


@pytest.mark.parametrize(
    ("hook", "kind", "name"),
    [
        (hookspecs.superlink_decoders, "decoder", "acme.boxes"),
        (hookspecs.superlink_tasks, "task", "acme.counting"),
        (hookspecs.superlink_backbones, "backbone", "acme.vlm"),
    ],
)
def test_docstring_of_hook_is_a_working_plugin(hook, kind, name):
    body = hook.__doc__.partition("Example:\n")[2].partition("\n    Yields:")[0]
    sources = {"superlink_acme.plugin": textwrap.dedent(body)}
    with installed_plugin(
        "superlink-acme", sources, entry_points={"acme": "superlink_acme.plugin"}
    ):
        registry = Registry.discover(entry_points(group="superlink", name="acme"))
    (entry,) = [entry for entry in registry.entries() if entry.name == name]
    assert (entry.kind, entry.status) == (kind, "ok")


def test_hook_without_plugins_gives_nothing():
    assert list(hookspecs.superlink_decoders()) == []
    assert list(hookspecs.superlink_tasks()) == []
    assert list(hookspecs.superlink_backbones()) == []
