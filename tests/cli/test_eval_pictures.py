"""`superlink eval` of pictures that models make."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from superlink.cli.main import app
from superlink.evaluation import ResultCard

from ..evaluation.drawing import Drawing

GENERATION = ("--task", "generation", "--data", "icons", "--option", "split=val", "--json")
EDITING = ("--task", "editing", "--data", "scenes", "--option", "split=val", "--json")
QUICK = ("--measure", "efficientnet=false", "--measure", "attributes=false")


@pytest.fixture
def model(monkeypatch, tmp_path):
    drawing = Drawing()
    monkeypatch.setattr("superlink.build.load", lambda *_, **__: drawing)
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    return drawing


def run(*arguments):
    result = CliRunner().invoke(app, ["eval", "model", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_card_of_generation_shows_the_first_pictures_and_what_was_asked_for(model, tmp_path):
    card = ("--card", tmp_path / "card", "--decoder", "guidance_scale=2")
    metrics = run(*GENERATION, *QUICK, "--limit", "3", *card)
    assert metrics == {f"generation/picture_rate/{way}": 1.0 for way in ("generated", "forced")}
    assert all(options == {"toy": {"guidance_scale": 2}} for *_, options in model.asked)
    written = ResultCard.read(tmp_path / "card" / "card.json")
    assert written.data["decoder options"] == {"toy": {"guidance_scale": 2}}
    assert "shuffled" not in written.data
    assert {"first-forced.jpg", "first-generated.jpg"} <= set(written.pictures.values())


def test_card_of_shuffled_samples_says_so(model, tmp_path):
    arguments = ("--limit", "4", "--shuffled", "--routing", "forced", "--card", tmp_path / "card")
    run(*GENERATION, *QUICK, *arguments)
    card = ResultCard.read(tmp_path / "card" / "card.json")
    assert card.data["shuffled"] is True
    assert any("asked what another one asks" in note for note in card.notes)


def test_edits_that_leave_the_source_have_ratio_one(model, tmp_path):
    metrics = run(*EDITING, *QUICK[:2], "--limit", "4", "--routing", "forced")
    assert metrics["editing/inside_ratio/forced"] == pytest.approx(1.0)
    assert metrics["editing/autoencoder_outside_error/forced"] == 0.0


def test_samples_of_other_tasks_are_not_shuffled(model):
    arguments = ("--task", "detection", "--data", "scenes", "--limit", "3", "--shuffled")
    result = CliRunner().invoke(app, ["eval", "model", *arguments])
    assert result.exit_code == 2
    assert "answered with pictures" in " ".join(result.output.replace("│", " ").split())
