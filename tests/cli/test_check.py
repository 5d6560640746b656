"""`superlink check`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from superlink.cli.main import app
from superlink.testing import DECODER_CHECKS, DecoderCase, installed_plugin
from superlink.testing.decoder_processes import Apart

FIXTURE = Path(__file__).parents[1] / "fixtures" / "superlink-acme" / "superlink_acme"
CALLS = """
import torch
from PIL import Image
from superlink.interfaces import CallInput, Geometry

def dots(num_routes, seed):
    random = torch.Generator().manual_seed(seed)
    image = Image.effect_noise((48, 40), 60 + seed).convert("RGB")
    phrases = tuple(f"dot {index}" for index in range(num_routes))
    target = {"points": 40 * torch.rand(num_routes, 2, generator=random)}
    tokens = ("[DOT]",) * num_routes
    return CallInput(image, Geometry.identity((40, 48)), target, tokens, phrases)
"""


def run(*arguments):
    return CliRunner().invoke(app, ["check", *arguments])


@pytest.fixture(autouse=True)
def acme():
    sources = {f"superlink_acme.{path.stem}": path.read_text() for path in FIXTURE.glob("[!_]*.py")}
    sources["superlink_acme.calls"] = CALLS
    points = {"acme": "superlink_acme.plugin"}
    with installed_plugin("superlink-acme", sources, entry_points=points):
        yield


@pytest.fixture
def without_processes(monkeypatch):
    notes = {"declared": {"heavy": [], "seconds": 0.0}, "attempts": []}
    notes |= {"shared": True, "done": True}
    monkeypatch.setattr(DecoderCase, "apart", Apart((notes, notes), ("", ""), hung=False))


def test_table_names_every_check_and_the_fault_that_it_stops():
    result = run("acme.dots", "--set", "size=16", "--calls", "superlink_acme.calls:dots")
    assert result.exit_code == 0, result.output
    for check in DECODER_CHECKS:
        assert check.name in result.output
    shown = " ".join(result.output.split())
    assert "Stops a training on several devices that waits forever" in shown
    assert " checks passed, 0 failed" in shown


def test_failure_stands_below_the_table_with_its_cure(without_processes):
    result = run("acme.dots")  # its targets are points, one for each route
    assert result.exit_code == 1
    shown = " ".join(result.output.split())
    assert "routes failed" in shown
    assert "give the case `calls`" in shown
    assert "skipped routes failed" in shown


def test_json_holds_settings_and_results(without_processes):
    calls = ("--calls", "superlink_acme.calls:dots")
    result = run("acme.dots", "--set", "size=16", "--set", "channels=8", *calls, "--json")
    assert result.exit_code == 0, result.output
    outcome = json.loads(result.stdout)
    assert (outcome["decoder"], outcome["config"]) == ("acme.dots", {"size": 16, "channels": 8})
    assert list(outcome["checks"]) == [check.name for check in DECODER_CHECKS]
    assert outcome["checks"]["loss"]["status"] == "passed"
    assert outcome["checks"]["instances"]["detail"] == "the predictions hold no instances"


def test_what_a_plugin_prints_stays_out_of_the_json(without_processes):
    source = (FIXTURE / "decoder.py").read_text() + "\nprint('hello')\n"
    sources = {
        "superlink_loud.plugin": (FIXTURE / "plugin.py").read_text().replace("acme", "loud"),
        "superlink_loud.decoder": source,
        "superlink_loud.task": "",
    }
    points = {"loud": "superlink_loud.plugin"}
    with installed_plugin("superlink-loud", sources, entry_points=points):
        result = run("loud.dots", "--json")
    assert json.loads(result.stdout)["decoder"] == "loud.dots"


def test_wrong_setting_is_a_failure_of_the_config(without_processes):
    result = run("acme.dots", "--set", "sizes=16")
    assert result.exit_code == 1
    shown = " ".join(result.output.split())
    assert "unknown key 'sizes'" in shown and "Did you mean 'size'" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("acme.dot",), "Did you mean 'acme.dots'"),
        (("acme.dots", "--set", "size"), "Expected --set KEY=VALUE"),
        (("acme.dots", "--set", "=3"), "Expected --set KEY=VALUE"),
        (("acme.dots", "--set", "size=[1"), "is not valid YAML"),
        (("acme.dots", "--set", "a=1", "--set", "a.b=2"), "leads into a value"),
        (("acme.dots", "--calls", "superlink_acme.calls"), "Expected a dotted path"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", " ").split())


def test_settings_may_be_nested():
    from superlink.cli.check import _settings

    settings = _settings(["backbone.depth=18", "backbone.out_indices=[1, 2]", "shared=true"])
    assert settings == {"backbone": {"depth": 18, "out_indices": [1, 2]}, "shared": True}
