"""What `superlink demo` leaves behind: a model, two pictures, a card, and one page with it all."""

from __future__ import annotations

import json
import re

import pytest
from PIL import Image
from typer.testing import CliRunner

import superlink
from superlink.cli.main import app
from superlink.demo import run
from superlink.errors import MissingDependencyError

METRICS = {
    "detection/box_AP50/generated",
    "detection/box_AP50/forced",
    "detection/box_AP/forced",
    "detection/box_AP50/generated/held_out_drawings",
    "routing/list_exact",
}


@pytest.fixture
def card(tiny_demo_model):
    return json.loads((tiny_demo_model / "card.json").read_text())


@pytest.fixture
def page(tiny_demo_model):
    return (tiny_demo_model / "report.html").read_text()


def test_card_has_its_keys_and_metrics(card):
    assert {"name", "command", "seed", "versions", "cpu_minutes", "metrics"} <= card.keys()
    assert card["metrics"].keys() >= METRICS
    assert all(0 <= value <= 1 for value in card["metrics"].values())
    assert 0 < card["cpu_minutes"] < 5


def test_report_is_self_contained(page):
    links = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"')\s>]+)""", page)
    assert {link.partition(",")[0] for link in links if not link.startswith("#")} == {
        "data:image/jpeg;base64"
    }
    assert "<script" not in page
    assert "@import" not in page


def test_report_has_pictures_of_scenes_and_photographs(page):
    scenes, _, photos = page.partition("Photographs as they are")
    assert scenes.count("<figure>") == 2
    assert photos.count("<figure>") == 4
    assert page.count("data:image/jpeg;base64,") == 6


def test_report_has_the_numbers_of_the_card(page, card):
    for name, value in card["metrics"].items():
        assert f"<td><code>{name}</code></td><td>{value:.3f}</td>" in page
    assert f"{card['cpu_minutes']:.1f} CPU-minutes" in page


def test_report_shows_both_stages_and_their_losses(page):
    for stage in ("warm_up", "joint"):
        assert f"<td>{stage}</td>" in page
    assert "<svg" in page
    assert "OpenMoji" in page


def test_report_has_no_gap_left_from_its_template(page):
    assert not re.search(r"\$\w+", page)


def test_pictures_to_try_are_there(tiny_demo_model):
    with Image.open(tiny_demo_model / "scene.png") as scene:
        assert scene.size == (512, 512)
    with Image.open(tiny_demo_model / "photo.png") as photo:
        assert photo.mode == "RGB"
    assert superlink.load(tiny_demo_model / "model").bound.keys() == {"mmdet.grounding_dino"}


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
    demo("--seed", "2")
    assert stubbed["command"] == "superlink demo --output demo --seed 2"
    change = "data.scenes.options={num_scenes: 5}"
    demo("--output", "a b", "--num-scenes", "4", "--set", change)
    assert stubbed["command"] == (
        f"superlink demo --output 'a b' --seed 0 --num-scenes 4 --set '{change}'"
    )
    assert stubbed["overrides"] == [change]
