"""What `superlink demo` leaves behind: a model, two pictures, a card, and one page with it all."""

from __future__ import annotations

import json
import re

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import superlink
from superlink.cli.main import app
from superlink.demo import MODEL, POSES, REGIONS, run
from superlink.demo.modes import MODES, POSE_MODES, REGION_MODES
from superlink.errors import MissingDependencyError

METRICS = {
    "detection/box_AP50/generated",
    "detection/mask_AP50/forced",
    "detection/box_AP50/generated/held_out_drawings",
    "detection/list_exact/generated",
    "grounding/P@0.5/generated",
    "counting/MAE/generated",
    "semantic_segmentation/mIoU/generated",
    "grounded_caption/box_AP50/forced",
}
REGION_METRICS = {
    "interactive_segmentation/mIoU/generated",
    "interactive_segmentation/mIoU/forced/held_out_drawings",
    "region_recognition/accuracy/generated",
    "grounded_caption/objects_exact/generated",
}
TRAINED_METRICS = {
    "detection/box_AP50/generated",
    "detection/box_AP50/forced",
    "detection/box_AP/forced",
    "detection/box_AP50/generated/held_out_drawings",
    "routing/list_exact",
}
POSE_METRICS = {"pose/OKS_AP50/generated", "pose/PCK@0.1/forced", "pose/box_AP50/generated"}
NUM_PICTURES = 4 * len((*MODES, *REGION_MODES, *POSE_MODES)) + 4 + 8


@pytest.fixture
def card(tiny_demo_model):
    return json.loads((tiny_demo_model / "card.json").read_text())


@pytest.fixture
def region_card(tiny_demo_model):
    return json.loads((tiny_demo_model / "regions" / "card.json").read_text())


@pytest.fixture
def pose_card(tiny_demo_model):
    return json.loads((tiny_demo_model / "poses" / "card.json").read_text())


@pytest.fixture
def trained_card(tiny_demo_model):
    return json.loads((tiny_demo_model / "trained" / "card.json").read_text())


@pytest.fixture
def page(tiny_demo_model):
    return (tiny_demo_model / "report.html").read_text()


def test_cards_have_their_keys_and_metrics(card, region_card, pose_card, trained_card):
    for one, metrics in (
        (card, METRICS),
        (region_card, REGION_METRICS),
        (pose_card, POSE_METRICS),
        (trained_card, TRAINED_METRICS),
    ):
        assert {"name", "command", "seed", "versions", "cpu_minutes", "metrics"} <= one.keys()
        assert one["metrics"].keys() >= metrics
        assert all(value >= 0 for value in one["metrics"].values())
    assert 0 < trained_card["cpu_minutes"] < 5
    for one, model in ((card, MODEL), (region_card, REGIONS), (pose_card, POSES)):
        training = json.loads(model.with_name(f"{model.name}_training.json").read_text())
        assert one["cpu_minutes"] == training["cpu_minutes"]


def test_report_is_self_contained(page):
    links = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"')\s>]+)""", page)
    assert {link.partition(",")[0] for link in links if not link.startswith("#")} == {
        "data:image/jpeg;base64"
    }
    assert "<script" not in page
    assert "@import" not in page


def test_report_has_pictures_of_every_mode(page):
    for mode in (*MODES, *REGION_MODES, *POSE_MODES):
        section = page.partition(f"<h2>{mode.title}</h2>")[2].partition("<h2>")[0]
        assert section.count("<figure>") == 4
    assert page.partition("Photographs as they are")[2].partition("<h2>")[0].count("<figure>") == 4
    assert page.count("data:image/jpeg;base64,") == NUM_PICTURES


def test_report_has_the_numbers_of_the_cards(page, card, region_card, pose_card, trained_card):
    for one in (card, region_card, pose_card, trained_card):
        for name, value in one["metrics"].items():
            assert f"<td><code>{name}</code></td><td>{value:.3f}</td>" in page
    assert f"in {card['cpu_minutes']:.0f} CPU-minutes" in page
    assert f"in {trained_card['cpu_minutes']:.1f} CPU-minutes" in page


def test_report_shows_both_stages_of_training_and_their_losses(page):
    for stage in ("warm_up", "joint"):
        assert f"<td>{stage}</td>" in page
    assert "<svg" in page
    assert "OpenMoji" in page


def test_report_has_no_gap_left_from_its_templates(page):
    assert not re.search(r"\$\w+", page)


def test_pictures_to_try_are_there(tiny_demo_model):
    for name in ("scene", "landscape", "pose"):
        with Image.open(tiny_demo_model / f"{name}.png") as scene:
            assert scene.size == (512, 512)
    with Image.open(tiny_demo_model / "photo.png") as photo:
        assert photo.mode == "RGB"


def test_the_shipped_models_are_small():
    files = [f for one in (MODEL, REGIONS, POSES) for f in one.rglob("*") if f.is_file()]
    assert sum(f.stat().st_size for f in files) < 37e6


@pytest.mark.parametrize(
    ("folder", "tokens"),
    [
        ("model", {"[DET]", "[SEG]", "[GRD]"}),
        ("regions/model", {"[DET]", "[SEG]", "[GRD]"}),
        ("poses/model", {"[POSE]", "[KPT]"}),
    ],
)
def test_the_shipped_models_know_their_tokens(tiny_demo_model, folder, tokens):
    model = superlink.load(tiny_demo_model / folder)
    assert (model.regions is not None) == (folder == "regions/model")
    (bound,) = model.bound.values()
    assert set(bound.tokens) == tokens
    assert bound.decoder.config.masks == ("[SEG]" in tokens)
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_without_the_plugin_for_poses_the_others_are_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "_POSE_DECODER", "mmpose.not_there")
    assert [source for _, source, *_ in run._shipped(tmp_path)] == [MODEL, REGIONS]


def test_without_training_nothing_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "MODES", MODES[:1])
    monkeypatch.setattr(run, "REGION_MODES", REGION_MODES[1:2])
    monkeypatch.setattr(run, "POSE_MODES", POSE_MODES[1:])
    there = []
    monkeypatch.setattr(run, "_write_inputs", lambda output: there.extend(output.rglob("model")))
    monkeypatch.setattr(run, "measure_modes", lambda *_, **__: {"ready": float(len(there))})
    result = run.run_demo(tmp_path / "demo", num_scenes=1, progress=False)
    assert not (tmp_path / "demo" / "trained").exists()
    assert "Trained on this machine" not in result.report.read_text()
    assert result.metrics["ready"] == 3  # models and pictures, before anything is measured


def test_missing_package_is_told_before_training(monkeypatch, tmp_path):
    monkeypatch.setattr(run, "_PACKAGES", ("json", "no_such_package"))
    with pytest.raises(MissingDependencyError, match=r"no_such_package.*superlink\[demo\]"):
        run.run_demo(tmp_path / "demo")
    assert not (tmp_path / "demo").exists()


@pytest.fixture
def stubbed(monkeypatch):
    """The command with a demo that only remembers its arguments."""
    seen = {}

    def fake(output, **settings):
        seen.update(settings, output=output)
        paths = (output / name for name in ("model", "report.html", "card.json"))
        return run.DemoResult(*paths, {"detection/box_AP50/forced": 0.5})

    monkeypatch.setattr("superlink.demo.run_demo", fake)
    return seen


def demo(*arguments):
    result = CliRunner().invoke(app, ["demo", *arguments])
    assert result.exit_code == 0, result.output
    return result


def test_command_prints_metrics_as_json_alone(stubbed):
    assert json.loads(demo("--json").stdout) == {"detection/box_AP50/forced": 0.5}
    assert stubbed["progress"] is False


def test_command_prints_a_table_and_where_things_are(stubbed):
    result = demo("--output", "there")
    assert result.stdout.split() == ["metric", "value", "detection/box_AP50/forced", "0.500"]
    assert "there/report.html" in result.stderr


def test_card_gets_the_command_that_makes_it_again(stubbed):
    demo("--num-scenes", "4")
    assert stubbed["command"] == "superlink demo --output demo --num-scenes 4"
    demo("--train", "--seed", "2")
    assert stubbed["command"] == "superlink demo --output demo --train --seed 2"
    change = "data.scenes.options={num_scenes: 5}"
    demo("--output", "a b", "--train", "--set", change)
    assert stubbed["command"] == (
        f"superlink demo --output 'a b' --train --seed 0 --set '{change}'"
    )
    assert stubbed["overrides"] == [change]


def test_changes_without_a_training_are_refused(stubbed):
    result = CliRunner().invoke(app, ["demo", "--set", "seed=1"])
    assert result.exit_code == 2
    assert "--train" in result.output
    assert stubbed == {}
