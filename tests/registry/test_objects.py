"""Dotted paths are imported on use, and say what is wrong with them."""

from __future__ import annotations

import math

import pytest

from superlink.errors import PluginError
from superlink.registry import load_object


def test_load_object_follows_dots_in_the_name():
    assert load_object("math:pi") == math.pi
    assert load_object("collections:OrderedDict.fromkeys")("a") == {"a": None}


@pytest.mark.parametrize("path", ["math", "math:", ":pi", ""])
def test_load_object_with_malformed_path(path):
    with pytest.raises(PluginError, match=r"'package\.module:name' of recipe"):
        load_object(path, "recipe")


@pytest.mark.parametrize(
    ("path", "cause"), [("no_such:x", ModuleNotFoundError), ("math:pie", AttributeError)]
)
def test_load_object_chains_the_cause(path, cause):
    with pytest.raises(PluginError, match="of recipe") as caught:
        load_object(path, "recipe")
    assert isinstance(caught.value.__cause__, cause)
