"""The three stages at toy size, from the command to the card, in a few steps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file
from typer.testing import CliRunner

from superlink.cli.main import app

RECIPE = Path(__file__).parents[2] / "examples" / "three_stages" / "recipe.yaml"
SHRUNK = (
    "model.backbone.config.encoder=conv",
    "model.backbone.config.hidden_size=40",
    "model.backbone.config.num_layers=1",
    "model.decoders.0.config.in_channels=[16, 24, 32]",
    "model.decoders.0.config.decoder_layers=1",
    *(f"stages.{index}.steps=2" for index in range(3)),
    *(f"stages.{index}.batch_size=4" for index in range(3)),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run."""
    folder = tmp_path_factory.mktemp("three") / "run"
    changes = [word for change in SHRUNK for word in ("--set", change)]
    result = CliRunner().invoke(app, ["train", str(RECIPE), "--output", str(folder), *changes])
    assert result.exit_code == 0, result.output
    assert result.stderr.count("parameters are trained. Memory") == 3
    return folder


def weights(folder):
    return {
        (str(path.relative_to(folder)), name): tensor
        for path in folder.rglob("*.safetensors")
        for name, tensor in load_file(path).items()
    }


def test_stages_move_what_the_paper_moves(run):
    first, second, third = (
        weights(run / "stages" / name / "model") for name in ("0-stage1", "1-stage2", "2-stage3")
    )
    moved = [
        {key for key in old if not old[key].equal(new[key])}
        for old, new in ((first, second), (second, third))
    ]
    for files in moved:
        assert not [name for _, name in files if "vision_tower" in name and "running" not in name]
        assert any("decoders" in file for file, _ in files)
    assert any(file.startswith("backbone") for file, _ in moved[0])
    assert not any(file.startswith("backbone") for file, _ in moved[1])
    assert any("regions" in f"{file}.{name}" for file, name in moved[0])
    assert not any("regions" in f"{file}.{name}" for file, name in moved[1])


def test_run_ends_in_a_card(run, tmp_path):
    words = ["--task", "detection", "--data", "scenes", "--option", "split=val", "--limit", "2"]
    words += ["--card", str(tmp_path / "card"), "--max-new-tokens", "8"]
    result = CliRunner().invoke(app, ["eval", str(run / "model"), *words])
    assert result.exit_code == 0, result.output
    card = json.loads((tmp_path / "card" / "card.json").read_text())
    assert "detection/box_AP50/forced" in card["metrics"]
