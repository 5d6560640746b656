"""`superlink eval`."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from superlink.cli.main import app

SCENES = ("--task", "detection", "--data", "scenes", "--option", "split=val", "--limit", "3")


def run(*arguments):
    return CliRunner().invoke(app, ["eval", *map(str, arguments)])


def test_both_routings_are_measured_and_written_on_a_card(tiny_demo_model, tmp_path):
    result = run(tiny_demo_model / "model", *SCENES, "--json", "--card", tmp_path / "card")
    assert result.exit_code == 0, result.output
    metrics = json.loads(result.stdout)
    assert {"detection/box_AP50/generated", "detection/box_AP50/forced"} <= set(metrics)
    assert json.loads((tmp_path / "card" / "card.json").read_text())["metrics"] == metrics


def test_table_of_one_routing(tiny_demo_model):
    result = run(tiny_demo_model / "model", *SCENES, "--routing", "forced")
    assert result.exit_code == 0, result.output
    assert "detection/box_AP50/forced" in result.output
    assert "generated" not in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--task", "detecton", "--data", "scenes"), "detecton"),
        (("--task", "class_list", "--data", "names"), "has no evaluator"),
        (("--task", "detection", "--data", "voc:x.json"), "reads ['coco', 'crowdhuman'"),
        (("--task", "detection", "--data", "coco:missing.json"), "images"),
        (("--task", "detection", "--data", "scenes", "--option", "x"), "Expected --option KEY"),
        (("--task", "detection", "--data", "scenes", "--option", "num_scene=3"), "num_scene"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    result = run("nowhere", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", " ").split())
