"""`superlink verify`."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from superlink.cli.main import app
from superlink.testing.backbone_checks import BACKBONE_CHECKS
from superlink.testing.backbones import tiny_backbone


def run(*arguments):
    return CliRunner().invoke(app, ["verify", *arguments])


def test_table_names_every_check_and_the_fault_that_it_stops():
    result = run("tiny:llava")
    assert result.exit_code == 0, result.output
    for check in BACKBONE_CHECKS:
        assert check.name in result.output
    assert "failed" not in result.output
    assert "Stops a backbone that loses its image" in " ".join(result.output.split())


def test_json_of_a_folder(tmp_path):
    tiny_backbone("qwen2_5_vl").save(tmp_path)
    result = run(str(tmp_path), "--json")
    assert result.exit_code == 0, result.output
    row = json.loads(result.stdout)
    assert row["backbone"] == str(tmp_path)
    assert {check["status"] for check in row["checks"].values()} == {"passed"}


def test_backbone_of_a_plugin_by_its_name():
    result = run("tiny_llava", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["checks"]["block"]["status"] == "passed"


def test_matrix_of_chosen_architectures():
    result = run("--all", "--only", "llava", "--only", "pi0", "--json")
    assert result.exit_code == 0, result.output
    matrix = json.loads(result.stdout)
    assert set(matrix["versions"]) == {"superlink", "transformers", "torch"}
    first, second = matrix["architectures"]
    assert first["class"] == "LlavaForConditionalGeneration"
    assert second["refused"].startswith("It moves robots")
    table = run("--all", "--only", "blip").output
    assert "blip" in table and "neither a cache nor positions" in " ".join(table.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Name one backbone, or give --all"),
        (("tiny:llava", "--all"), "Name one backbone, or give --all"),
        (("tiny:lava",), "Expected an image-text-to-text architecture"),
        (("--all", "--only", "lava"), "Expected an image-text-to-text architecture"),
        (("tiny:pi0",), "It moves robots"),
        (("nowhere/nothing",), "Expected the Hub id or the folder"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2 or (result.exit_code == 1 and "failed" in result.output)
    assert message in " ".join(result.output.replace("│", " ").split())
