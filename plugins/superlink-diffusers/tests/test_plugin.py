"""What the plugin declares, and what it tells to install."""

import importlib
import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from typer.testing import CliRunner

from superlink.cli.main import app
from superlink.errors import MissingDependencyError
from superlink.registry import default_registry, requirements
from superlink_diffusers.plugin import superlink_decoders

SPECS = {spec.name: spec for spec in superlink_decoders()}
README = Path(__file__).parents[1] / "README.md"
LINE = "pip install diffusers==0.42.1"


def run(*arguments):
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(autouse=True)
def fresh_registry():
    """A registry that looks at what is installed, and at what a test says of it, anew."""
    default_registry.cache_clear()
    yield
    default_registry.cache_clear()


@pytest.fixture
def without_diffusers(monkeypatch):
    """As if diffusers had never been installed."""
    version = metadata.version

    def seen(name):
        if name == "diffusers":
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(requirements.metadata, "version", seen)
    monkeypatch.setenv("SUPERLINK_PLUGINS", "diffusers")


def test_one_decoder_draws_and_one_edits():
    tokens = {name: (spec.routing_tokens, spec.needs_image) for name, spec in SPECS.items()}
    assert tokens == {
        "diffusers.text_to_image": (("[GEN]",), False),
        "diffusers.image_editing": (("[EDIT]",), True),
    }
    assert {spec.num_queries for spec in SPECS.values()} == {64}
    assert SPECS["diffusers.image_editing"].names_image


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
@pytest.mark.parametrize("field", ["factory", "config_class"])
def test_dotted_paths_lead_to_callables(spec, field):
    module, _, name = getattr(spec, field).partition(":")
    assert callable(getattr(importlib.import_module(module), name))


def test_importing_the_plugin_loads_no_diffusers():
    code = "import sys, superlink_diffusers.plugin; sys.exit('diffusers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_doctor_prints_the_line_of_the_readme(monkeypatch):
    monkeypatch.setenv("SUPERLINK_PLUGINS", "diffusers")
    assert run("doctor", "--print-install").splitlines() == [LINE]
    written = re.findall(r"^    (pip install .*)$", README.read_text(), re.MULTILINE)
    assert written == ["pip install superlink-diffusers"]


def test_without_diffusers_the_plugin_lists_itself_with_the_line(without_diffusers):
    entries = {entry["name"]: entry for entry in json.loads(run("plugins", "--json"))}
    for name in SPECS:
        assert entries[name]["status"] == "missing requirement"
        assert entries[name]["cure"] == LINE
        with pytest.raises(MissingDependencyError, match=re.escape(LINE)):
            default_registry().build("decoder", name, {})
