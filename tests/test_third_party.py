"""A distribution of somebody else brings a decoder, a token and a task, and edits no core file."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

import superlink
from superlink.cli.main import app
from superlink.errors import CheckpointError
from superlink.registry import Registry, default_registry
from superlink.testing import installed_plugin
from superlink.training import DataChoice
from superlink.training.dataset import open_data

DISTRIBUTION = Path(__file__).parent / "fixtures" / "superlink-acme"
CORE = Path(superlink.__file__).parent
MODULES = ("plugin", "decoder", "task")


def fingerprint_of_core():
    """A digest of every source file of superlink."""
    files = sorted(path for path in CORE.rglob("*") if path.suffix in {".py", ".json", ".html"})
    digest = hashlib.sha256()
    for path in files:
        digest.update(str(path).encode() + path.read_bytes())
    return digest.hexdigest()


def command(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture
def acme(monkeypatch):
    """The distribution, installed for one test; found through its entry point like any other."""
    project = tomllib.loads((DISTRIBUTION / "pyproject.toml").read_text())["project"]
    sources = {
        f"superlink_acme.{name}": (DISTRIBUTION / "superlink_acme" / f"{name}.py").read_text()
        for name in MODULES
    }
    monkeypatch.setenv("SUPERLINK_PLUGINS", "acme")
    with installed_plugin(
        project["name"],
        sources,
        entry_points=project["entry-points"]["superlink"],
        version=project["version"],
    ):
        yield


def test_third_party_decoder_is_trained_measured_and_drawn(acme, tmp_path):
    core = fingerprint_of_core()
    trained = command("train", DISTRIBUTION / "recipe.yaml", "--output", tmp_path / "run", "--json")
    losses = json.loads(trained.stdout)["losses"]
    assert losses[-1] < losses[0] / 2

    data = ("--task", "acme.dots", "--data", "drawn", "--option", "seed=1", "--limit", "30")
    found = command(
        "eval", tmp_path / "run" / "model", *data, "--json", "--card", tmp_path / "card"
    )
    metrics = json.loads(found.stdout)
    assert metrics["acme.dots/found/forced"] >= 0.8
    assert metrics["acme.dots/found/generated"] >= 0.8
    assert json.loads((tmp_path / "card" / "card.json").read_text())["metrics"] == metrics

    record = pictures(1)[0][0]
    record.image.save(tmp_path / "dots.png")
    arguments = (tmp_path / "run" / "model", "Where is the blue dot?", "--image")
    arguments = ("predict", *arguments, tmp_path / "dots.png")
    reply = json.loads(command(*arguments, "--json").stdout)
    assert reply["text"] == "blue dot"
    (call,) = reply["calls"]
    assert call["decoder"] == "acme.dots"
    assert call["dots"][0]["phrase"] == "blue dot"

    shown = command(*arguments, "--picture", tmp_path / "out.png")
    assert '"phrase": "blue dot"' in shown.stdout
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.width >= 480
    calls = ("--set", "size=16", "--calls", "superlink_acme.task:example_call")
    checks = json.loads(command("check", "acme.dots", *calls, "--json").stdout)["checks"]
    assert len(checks) > 20
    assert {check["status"] for check in checks.values()} <= {"passed", "skipped"}
    assert fingerprint_of_core() == core


def pictures(num_pictures):
    """Pictures that training never saw, and the conversation about one."""
    options = {"num_pictures": num_pictures, "seed": 1}
    choice = DataChoice(task="acme.dots", format="drawn", options=options)
    return open_data(choice, default_registry())


def test_third_party_distribution_is_small():
    lines = {name: (DISTRIBUTION / "superlink_acme" / f"{name}.py").read_text() for name in MODULES}
    assert len(lines["decoder"].splitlines()) <= 80
    assert sum(len(text.splitlines()) for text in lines.values()) <= 200


def test_checkpoint_names_the_distribution_where_it_is_gone(acme, tmp_path, monkeypatch):
    small = ("--set", "stages.0.steps=1", "--set", "stages.0.batch_size=2")
    command("train", DISTRIBUTION / "recipe.yaml", "--output", tmp_path / "run", *small)
    monkeypatch.setenv("SUPERLINK_PLUGINS", "")
    with pytest.raises(CheckpointError, match=r"pip install superlink-acme==0\.3\.0"):
        superlink.load(tmp_path / "run" / "model", Registry.discover())


@pytest.mark.slow
def test_third_party_distribution_builds_installs_and_runs(tmp_path):
    core, target = fingerprint_of_core(), tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    pip += ["--no-build-isolation", "--disable-pip-version-check", "--target", str(target)]
    subprocess.run([*pip, str(DISTRIBUTION)], check=True, capture_output=True)

    def run(*arguments):
        line = "from superlink.cli.main import app; app()"
        call = [sys.executable, "-c", line, *map(str, arguments)]
        environment = {**os.environ, "PYTHONPATH": str(target), "SUPERLINK_PLUGINS": "acme"}
        done = subprocess.run(call, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    entries = {(entry["kind"], entry["name"]): entry for entry in run("plugins", "--json")}
    for kind in ("decoder", "task"):
        entry = entries[kind, "acme.dots"]
        found = (entry["distribution"], entry["version"], entry["status"])
        assert found == ("superlink-acme", "0.3.0", "ok")
    steps = ("--set", "stages.0.steps=3")
    run("train", DISTRIBUTION / "recipe.yaml", "--output", tmp_path / "run", *steps, "--json")
    Image.new("RGB", (64, 64), "red").save(tmp_path / "red.png")
    answer = ("--answer", "<p>red dot</p>[DOT]", "--image", tmp_path / "red.png", "--json")
    reply = run("predict", tmp_path / "run" / "model", "Where is the red dot?", *answer)
    assert reply["calls"][0]["dots"][0]["phrase"] == "red dot"
    assert fingerprint_of_core() == core
