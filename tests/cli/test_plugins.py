"""`superlink plugins` shows every plugin, works with broken ones, and says what to do."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from superlink.cli.main import app
from superlink.testing import installed_plugin

PLUGIN = """
print("a greeting that belongs on no one's stdout")
from superlink.interfaces import DecoderSpec, Requirement
from superlink.registry import hookimpl

@hookimpl
def superlink_decoders():
    path = "superlink.testing:ToyBoxDecoder"
    yield DecoderSpec("acme.boxes", ("[DET]", "[SEG]"), 4, path, path, license="MIT")
    needs = (Requirement("no-such-mmdet>=3", "pip install --no-deps no-such-mmdet==3.3.0"),)
    yield DecoderSpec("acme.masks", ("[SEG]",), 2, path, path, requires=needs)
"""


@pytest.fixture(autouse=True)
def fakes(monkeypatch):
    monkeypatch.setenv("SUPERLINK_PLUGINS", "fake-acme,fake-broken")
    with (
        installed_plugin("fake-acme", {"fake_acme": PLUGIN}, version="2.3"),
        installed_plugin("fake-broken", {"fake_broken": "import no_such_module"}),
    ):
        yield


def run(*arguments):
    result = CliRunner().invoke(app, ["plugins", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_plugins_table_shows_each_with_its_status():
    rows = [line.split() for line in run().splitlines()]
    assert rows[0] == (
        ["kind", "name", "tokens", "queries", "distribution", "version", "licence", "status"]
    )
    boxes = ["decoder", "acme.boxes", "[DET]", "[SEG]", "4", "fake-acme", "2.3", "MIT", "ok"]
    masks = ["decoder", "acme.masks", "[SEG]", "2", "fake-acme", "2.3", "missing", "requirement"]
    assert boxes in rows
    assert masks in rows


def test_plugins_table_ends_with_cures():
    output = run()
    _, _, below = output.partition("decoder acme.masks: missing requirement")
    assert "\n    pip install --no-deps no-such-mmdet==3.3.0\n" in below
    assert "plugin fake-broken: failed: ModuleNotFoundError" in below
    assert "decoder acme.boxes:" not in output


def test_plugins_json_is_all_of_stdout():
    entries = {entry["name"]: entry for entry in json.loads(run("--json"))}
    assert entries["acme.boxes"] == {
        "kind": "decoder",
        "name": "acme.boxes",
        "distribution": "fake-acme",
        "version": "2.3",
        "status": "ok",
        "reason": "",
        "cure": "",
        "tokens": ["[DET]", "[SEG]"],
        "num_queries": 4,
        "license": "MIT",
    }
    assert entries["fake-broken"]["status"] == "failed"
    assert entries["detection"]["kind"] == "task"
    assert entries["detection"]["num_queries"] is None
