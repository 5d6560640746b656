"""The example that wraps a library passes its own tests, installed as a distribution."""

from __future__ import annotations

import importlib
import sys
import tomllib
import types
from pathlib import Path

import pytest

from superlink.testing import DECODER_CHECKS, installed_plugin, parametrize_with_decoder_checks

EXAMPLE = Path(__file__).parents[2] / "examples" / "superlink-sam"
TESTS = "superlink_sam_tests"
SLOW = {check.name for check in DECODER_CHECKS if check.topic == "isolation"}
"""Checks that start processes, which take long to import transformers."""


def names_of_example():
    """Everything that the example's test files define, by name; each name comes once."""
    pytest.register_assert_rewrite(TESTS)
    package = types.ModuleType(TESTS)
    package.__path__ = [str(EXAMPLE / "tests")]
    sys.modules[TESTS] = package
    sys.path.insert(0, str(EXAMPLE))
    names = {}
    try:
        for path in sorted((EXAMPLE / "tests").glob("*.py")):
            own = vars(importlib.import_module(f"{TESTS}.{path.stem}"))
            twice = {name for name in own.keys() & names if name.startswith("test_")}
            assert not twice, twice
            names |= {name: value for name, value in own.items() if not name.startswith("_")}
    finally:
        sys.path.remove(str(EXAMPLE))
    return names


globals().update(names_of_example())


@pytest.fixture(scope="module", autouse=True)
def installed():
    """The entry point of the example, as its own pyproject.toml declares it."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    points = project["entry-points"]["superlink"]
    with (
        pytest.MonkeyPatch.context() as patch,
        installed_plugin(project["name"], {}, entry_points=points, version=project["version"]),
    ):
        patch.syspath_prepend(EXAMPLE)  # processes that the tests start get it too
        yield


@pytest.mark.parametrize(
    ("case", "check"),
    [
        pytest.param(
            *one.values, id=one.id, marks=[pytest.mark.slow] * (one.values[1].name in SLOW)
        )
        for one in parametrize_with_decoder_checks(["sam.masks"]).args[1]
    ],
)
def test_conformance(case, check):
    check(case)
