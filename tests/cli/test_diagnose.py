"""`superlink diagnose`: the shipped model by itself, and what it says to mistakes."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from superlink.cli.main import app
from superlink.demo.shipped import MODEL

DATA = ["--task", "detection", "--data", "scenes", "--option", "split=val"]
FEW = ["--samples", "3", "--replies", "1"]


def run(*arguments, exit_code=0):
    result = CliRunner().invoke(app, ["diagnose", *map(str, arguments)])
    assert result.exit_code == exit_code, result.output
    return result


def test_shipped_model_is_healthy():
    found = json.loads(run(MODEL, *DATA, *FEW, "--json").stdout)
    assert (found["status"], found["samples"]) == ("ok", 3)
    assert {f["status"] for f in found["findings"]} == {"ok"}
    assert {"routing tokens", "replies", "gradients", "queries", "conditions", "token rows"} == {
        f["check"] for f in found["findings"]
    }


def test_model_that_was_never_trained_is_a_problem_with_status_1(tmp_path):
    import superlink
    from superlink.checkpoint import save

    model = superlink.load(MODEL)
    for bank in model.queries.banks.values():
        bank.data.copy_(bank.data[:1].expand_as(bank.data))
    save(model, tmp_path / "model")
    result = run(tmp_path / "model", *DATA, "--samples", "2", "--replies", "0", exit_code=1)
    assert "problem: The 4 queries of mmdet.grounding_dino point one way." in result.stdout
    assert "docs/how-to/symptoms.md#the-queries-are-all-the-same" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([MODEL], "does not say what it was trained on"),
        ([MODEL, "--task", "detection"], "say more about --data"),
        (["nowhere", *DATA], "the folder of a run"),
    ],
)
def test_mistakes_say_what_to_do(arguments, message):
    result = run(*arguments, exit_code=2)
    assert message in " ".join(result.stderr.replace("│", "").split())
