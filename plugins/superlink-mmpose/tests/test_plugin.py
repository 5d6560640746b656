"""What the plugin declares, what it tells to install, and what holds where mmpose is missing."""

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
from superlink_mmpose.plugin import superlink_decoders

SPECS = {spec.name: spec for spec in superlink_decoders()}
README = Path(__file__).parents[1] / "README.md"
MMPOSE = "pip install --no-deps mmpose==1.3.2"


def run(*arguments):
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def packages(lines):
    """The packages that lines of pip install, with versions where they name some."""
    return {word for line in lines for word in line.split() if not re.match("pip|install|-", word)}


@pytest.fixture(autouse=True)
def fresh_registry():
    """A registry that looks at what is installed, and at what a test says of it, anew."""
    default_registry.cache_clear()
    yield
    default_registry.cache_clear()


@pytest.fixture
def without_mmpose(monkeypatch):
    """As if mmpose had never been installed; of the rest nothing changes."""
    version = metadata.version

    def seen(name):
        if name == "mmpose":
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(requirements.metadata, "version", seen)
    monkeypatch.setenv("SUPERLINK_PLUGINS", "mmdet,mmpose")


def test_both_decoders_have_a_spec():
    assert list(SPECS) == ["mmpose.group_pose", "mmpose.top_down"]


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_keypoints_follow_instances_and_have_queries_of_their_own(spec):
    assert spec.routing_tokens == ("[POSE]", "[KPT]")
    assert spec.follows == {"[KPT]": "[POSE]"}
    assert spec.bank("[POSE]") != spec.bank("[KPT]")


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
@pytest.mark.parametrize("field", ["factory", "config_class"])
def test_dotted_paths_lead_to_callables(spec, field):
    module, _, name = getattr(spec, field).partition(":")
    assert callable(getattr(importlib.import_module(module), name))


def test_importing_the_plugin_loads_no_openmmlab():
    code = (
        "import sys, superlink_mmpose.plugin;"
        "sys.exit(any(name in sys.modules for name in ('mmpose', 'mmdet', 'mmcv', 'mmengine')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_doctor_prints_the_lines_of_the_readme(monkeypatch):
    monkeypatch.setenv("SUPERLINK_PLUGINS", "mmpose")
    printed = run("doctor", "--print-install").splitlines()
    assert printed[-1] == MMPOSE
    written = re.findall(r"^    (pip install .*)$", README.read_text(), re.MULTILINE)
    assert written[0] == "pip install superlink-mmpose"
    assert packages(written[1:]) == packages(printed)
    assert [line for line in printed if "--no-deps" not in line] == written[1:3]
    # Their metadata asks for packages that cannot be installed any more, or that disagree.
    bare = packages(line for line in printed if "--no-deps" in line)
    assert {name.split("==")[0] for name in bare} == (
        {"mmengine", "mmcv-lite", "mmdet", "xtcocotools", "mmpose"}
    )


def test_without_mmpose_the_plugin_lists_itself_with_the_line(without_mmpose):
    entries = {entry["name"]: entry for entry in json.loads(run("plugins", "--json"))}
    for name in SPECS:
        assert entries[name]["status"] == "missing requirement"
        assert "mmpose>=1.3,<1.4" in entries[name]["reason"]
        assert entries[name]["cure"] == MMPOSE
        assert entries[name]["tokens"] == ["[POSE]", "[KPT]"]
    assert entries["mmdet.grounding_dino"]["status"] == "ok"
    table = run("plugins")
    assert "decoder mmpose.top_down: missing requirement" in table and f"    {MMPOSE}\n" in table


def test_without_mmpose_building_tells_the_line_and_other_decoders_are_built(without_mmpose):
    registry = default_registry()
    for name in SPECS:
        with pytest.raises(MissingDependencyError, match=MMPOSE):
            registry.build("decoder", name, {})
    assert registry.decoder("mmdet.deformable_detr")
    assert MMPOSE in run("doctor", "--print-install").splitlines()
