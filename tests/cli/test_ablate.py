"""`superlink ablate`."""

from __future__ import annotations

import json

import pytest
import yaml
from typer.testing import CliRunner

from superlink.cli.main import app
from superlink.testing import installed_plugin

from ..ablation.conftest import EXPERIMENT


@pytest.fixture
def run(tmp_path, monkeypatch, toy_detection):
    """Run the command on the experiment in the test's folder."""
    monkeypatch.setenv("SUPERLINK_PLUGINS", "fake-toy")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(EXPERIMENT))

    def run(*arguments, exit_code=0):
        result = CliRunner().invoke(app, ["ablate", *arguments])
        assert result.exit_code == exit_code, result.output
        return result

    with installed_plugin("fake-toy", {"fake_toy": toy_detection}):
        yield run


def test_json_is_the_card_and_the_table_is_for_people(run, tmp_path):
    card = json.loads(run("toy.yaml", "--seeds", "0", "--json").stdout)
    assert card == json.loads((tmp_path / "runs" / "toy" / "card.json").read_text())
    assert card["claims"][0]["verdict"] == "not told apart"  # a single seed has no spread
    shown = run("toy.yaml", "--seeds", "0")
    assert "boxes/box_AP50/4/forced" in shown.stdout
    assert "More help. 4 > 1 on boxes/box_AP50/forced: not told apart" in shown.stdout
    assert "runs/toy/card.json" in shown.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("none.yaml",), "Expected an experiment file"),
        (("toy.yaml", "--seeds", "0;1"), "Expected --seeds as 0,1,2"),
        (("toy.yaml", "--only", "8"), "no variant '8'"),
    ],
)
def test_mistakes_are_refused(run, arguments, message):
    result = run(*arguments, exit_code=2)
    assert message in " ".join(result.stderr.replace("│", " ").split())
