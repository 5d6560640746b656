"""`superlink eval`."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from superlink.cli.key_values import parse_option
from superlink.cli.main import app
from superlink.evaluation import ResultCard

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
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["metric", "forced"]
    assert any(line.split()[:1] == ["detection/box_AP50"] for line in lines)


def test_long_lists_are_asked_in_parts_and_the_card_says_so(tiny_demo_model, tmp_path):
    arguments = (
        *(tiny_demo_model / "model", *SCENES, "--conversation", "absent_classes=all"),
        *("--classes-per-reply", "5", "--max-per-image", "9", "--card", tmp_path / "card"),
    )
    result = run(*arguments, "--routing", "forced", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["detection/list_exact/forced"] == 1.0
    card = ResultCard.read(tmp_path / "card" / "card.json")
    assert (card.data["classes_per_reply"], card.data["max_per_image"]) == (5, 9)
    assert [question.count(",") for question, _ in card.prompts] == [4, 4, 2]
    assert {path.name for path in (tmp_path / "card").iterdir()} > {"best-forced.jpg"}


def test_shuffled_regions_drop_the_shipped_model_to_chance_and_the_card_says_so(tmp_path):
    pytest.importorskip("superlink_mmdet")
    from superlink.demo.shipped import REGIONS

    command = (
        *(REGIONS, "--task", "interactive_segmentation", "--data", "placed_scenes"),
        *("--option", "split=val", "--option", "num_scenes=12", "--routing", "generated"),
        *("--conversation", "named=true", "--conversation", "max_regions=1"),
        *("--conversation", "prompts=[box, mask]", "--max-new-tokens", "24"),
    )
    plain = run(*command, "--json")
    assert plain.exit_code == 0, plain.output
    name = "interactive_segmentation/mIoU/generated"
    shuffled = run(*command, "--conversation", "shuffled=true", "--card", tmp_path / "card")
    assert shuffled.exit_code == 0, shuffled.output
    card = ResultCard.read(tmp_path / "card" / "card.json")
    assert json.loads(plain.stdout)[name] > 0.5
    assert card.metrics[name] < 0.25
    assert card.data["conversation"]["shuffled"] is True
    assert any("Regions are shuffled" in note for note in card.notes)


def test_card_of_another_command_is_kept(tiny_demo_model, tmp_path):
    ResultCard("mine", "another command", 0, None, {}).write(tmp_path / "card")
    arguments = (tiny_demo_model / "model", *SCENES, "--routing", "forced")
    result = run(*arguments, "--card", tmp_path / "card")
    assert result.exit_code == 2
    output = " ".join(result.output.replace("│", " ").split())
    assert "holds the card of another command: another command" in output
    result = run(*arguments, "--card", tmp_path / "card", "--overwrite", "--name", "theirs")
    assert result.exit_code == 0, result.output
    assert ResultCard.read(tmp_path / "card" / "card.json").name == "theirs"
    assert not (tmp_path / "card" / "progress").exists()


def test_model_without_the_token_is_refused_before_it_answers(tiny_demo_model):
    arguments = ("--task", "grounding", "--data", "scenes", "--limit", "2")
    result = run(tiny_demo_model / "trained" / "model", *arguments)
    assert result.exit_code == 2
    output = " ".join(result.output.replace("│", " ").split())
    assert "[GRD]" in output and "--conversation" in output
    assert "evaluating" not in output


def test_paper_is_told_beside_the_metrics(tiny_demo_model):
    result = run(
        tiny_demo_model / "model", *SCENES, "--routing", "forced", "--paper", "coco_val2017"
    )
    assert "in the paper 0.567 (3 of the set's 5,000 samples" in " ".join(result.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--task", "detecton", "--data", "scenes"), "detecton"),
        (("--task", "class_list", "--data", "names"), "has no evaluator"),
        (("--task", "detection", "--data", "voc:x.json"), "reads ['coco', 'crowdhuman'"),
        (("--task", "detection", "--data", "coco:missing.json"), "images"),
        (("--task", "detection", "--data", "scenes", "--option", "x"), "Expected --option KEY"),
        (("--task", "detection", "--data", "scenes", "--option", "num_scene=3"), "num_scene"),
        (("--task", "detection", "--data", "scenes", "--measure", "crowds=true"), "mean 'crowd'"),
        (("--task", "detection", "--data", "scenes", "--paper", "coco"), "coco_val2017"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    result = run("nowhere", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", " ").split())


def test_routing_token_is_an_option_as_it_is():
    assert parse_option("token=[DET]") == ("token", "[DET]")
    assert parse_option("sets=[a, b]") == ("sets", ["a", "b"])
