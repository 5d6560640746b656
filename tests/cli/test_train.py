"""`superlink train`: a run from the command line, and what it says to mistakes."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import yaml
from typer.testing import CliRunner

from superlink.cli.main import app
from superlink.testing import installed_plugin

BACKBONE = {"hidden_size": 64, "num_layers": 1, "num_heads": 4, "image_size": 64, "encoder": "conv"}
RECIPE = {
    "name": "tiny",
    "model": {
        "backbone": {"name": "tiny_llava", "config": BACKBONE},
        "decoders": [{"name": "toy.detection"}],
    },
    "data": {"lists": {"task": "class_list", "format": "names"}},
    "stages": [
        {"name": "text", "data": "lists", "steps": 2, "batch_size": 2, "run_decoders": False}
    ],
}


@pytest.fixture
def run(tmp_path, monkeypatch, toy_detection):
    """Run the command on the recipe in the test's folder: `run("--set", "seed=3")`."""
    monkeypatch.setenv("SUPERLINK_PLUGINS", "fake-toy")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))

    def run(*arguments, recipe="recipe.yaml", exit_code=0):
        result = CliRunner().invoke(app, ["train", recipe, *arguments])
        assert result.exit_code == exit_code, result.output
        return result

    with installed_plugin("fake-toy", {"fake_toy": toy_detection}):
        yield run


def test_train_leaves_a_model_in_runs_by_name(run, tmp_path):
    result = run()
    assert "runs/tiny/model" in result.stderr
    assert result.stdout == ""
    assert (tmp_path / "runs" / "tiny" / "model" / "config.json").is_file()


def test_train_says_first_what_it_will_do(run):
    told = run().stderr
    assert "Stage text: 2 steps of 2 samples (1 device x 1 forward of 2)" in told
    assert "parameters are trained. Memory" in told
    assert told.index("A run of tiny writes up to") < told.index("runs/tiny/model")


def test_json_is_all_of_stdout(run, tmp_path):
    outcome = json.loads(run("--output", "out", "--json").stdout)
    assert outcome["model"] == "out/model"
    assert len(outcome["losses"]) == 2
    assert outcome["cpu_minutes"] > 0


def test_set_changes_the_recipe(run, tmp_path):
    outcome = json.loads(run("--set", "stages.0.steps=3", "--set", "name=three", "--json").stdout)
    assert outcome["model"] == "runs/three/model"
    assert len(outcome["losses"]) == 3


def test_second_run_takes_what_is_there(run):
    first, second = (json.loads(run("--json").stdout) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--set", "stages.0.batchsize=2"), "Did you mean 'batch_size'?"),
        (("--set", "stages.3.steps=2"), "must be an index into a list of 1"),
        (("--set", "model.decoders.0.name=toy.detectoin"), "Did you mean 'toy.detection'?"),
        (("--set", "model.backbone.config.num_layer=2"), "Did you mean 'num_layers'?"),
        (("--set", "model.decoders.0.config={cond: 3}"), "unknown key."),
        (("--set", "data.lists.task=class_lists"), "Did you mean 'class_list'?"),
        (("--set", "data.lists.options={name: [a]}"), "Did you mean 'names'?"),
    ],
)
def test_mistake_in_a_recipe_ends_in_a_panel_with_the_nearest_name(run, arguments, message):
    result = run(*arguments, exit_code=2)
    assert result.stdout == ""
    assert message in " ".join(line.strip("│ ") for line in result.stderr.splitlines())


def test_missing_recipe(run):
    assert "Expected a recipe file" in run(recipe="none.yaml", exit_code=2).stderr


def test_help_teaches_without_a_heavy_import():
    script = """
import sys
from typer.testing import CliRunner
from superlink.cli.main import app
examples = {"train": "superlink train recipe.yaml", "demo": "Nothing is downloaded"}
for command, example in examples.items():
    told = CliRunner().invoke(app, [command, "--help"])
    assert told.exit_code == 0 and example in told.output, told.output
assert not {"transformers", "mmdet"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
