"""`superlink recipe`: whole recipes, what is wrong in one, and the report before a run."""

from __future__ import annotations

import json

import pytest
import yaml
from typer.testing import CliRunner

from superlink.cli.main import app
from superlink.errors import InputError
from superlink.registry import default_registry
from superlink.testing import installed_plugin
from superlink.testing.backbones import tiny_backbone
from superlink.testing.toy_decoder import ToyBoxDecoder
from superlink.training import load_recipe

RECIPE = """name: tiny
model:
  backbone:
    name: tiny_llava
    config: {hidden_size: 64, num_layers: 1, num_heads: 4, image_size: 64, encoder: conv}
  decoders:
    - name: toy.detection
data:
  lists: {task: class_list, format: names}
  scenes: {task: detection, format: scenes, options: {num_scenes: 6, size: 64}}
stages:
  - name: text
    data: lists
    steps: 3
    run_decoders: false
    learning_rates: {decoders: 0, backbone.model.model.vision_tower: 0}
  - name: joint
    data: {lists: 1, scenes: 1}
    steps: 6
    batch_size: 12
    micro_batch_size: 4
    learning_rate: 2.0e-3
"""


@pytest.fixture(autouse=True)
def toys(tmp_path, monkeypatch, toy_detection):
    """The recipe in an empty folder, and nothing but a toy decoder."""
    monkeypatch.setenv("SUPERLINK_PLUGINS", "fake-toy")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    default_registry.cache_clear()
    with installed_plugin("fake-toy", {"fake_toy": toy_detection}):
        yield
    default_registry.cache_clear()


def run(command, *arguments, status=0):
    result = CliRunner().invoke(app, ["recipe", command, *map(str, arguments)])
    assert result.exit_code == status, result.output
    return result.stdout


def changed(tmp_path, right, wrong):
    assert right in RECIPE
    (tmp_path / "recipe.yaml").write_text(RECIPE.replace(right, wrong))


def problems(*arguments, status=1):
    return json.loads(run("validate", "recipe.yaml", *arguments, "--json", status=status))[
        "problems"
    ]


def test_show_is_a_recipe_that_means_the_same(tmp_path):
    (tmp_path / "whole.yaml").write_text(run("show", "recipe.yaml", "--set", "stages.0.steps=9"))
    whole = load_recipe(tmp_path / "whole.yaml")
    assert whole == load_recipe("recipe.yaml", ["stages.0.steps=9"])
    assert "schedule: stable" in (tmp_path / "whole.yaml").read_text()


def test_show_as_json_has_the_defaults():
    shown = json.loads(run("show", "recipe.yaml", "--json"))
    assert shown["stages"][1]["adam_betas"] == [0.9, 0.999]
    assert shown["model"]["backbone"]["lora"] is None


def test_schema_knows_every_key_and_what_it_means():
    schema = json.loads(run("schema"))
    stage = schema["$defs"]["Stage"]
    assert not stage["additionalProperties"]
    assert all(
        "description" in value
        for name in ("Stage", "DataChoice", "DecoderChoice", "ChatGuard", "RegionConfig")
        for value in schema["$defs"][name]["properties"].values()
    )
    assert set(yaml.safe_load(RECIPE)) <= set(schema["properties"])


def test_validate_tells_what_each_stage_trains():
    found = json.loads(run("validate", "recipe.yaml", "--devices", 3, "--json", status=1))
    assert "stages.0.batch_size" in found["problems"][0]  # 8 samples on 3 devices
    found = json.loads(run("validate", "recipe.yaml", "--devices", 2, "--json"))
    assert found["problems"] == []
    text, joint = (stage["modules"] for stage in found["memory"]["stages"])
    rates = {module["path"]: module["learning_rate"] for module in text}
    assert rates["decoders.toy-detection"] == rates["backbone.model.model.vision_tower"] == 0
    assert rates["backbone.model.model.language_model"] == rates["queries"] == 1e-4
    # The stem of the image encoder is never trained.
    assert {module["learning_rate"] for module in joint} == {0, 2e-3}
    assert [m["path"] for m in joint if not m["learning_rate"]] == [
        "backbone.model.model.vision_tower"
    ]
    sums = [sum(module["parameters"] for module in stage) for stage in (text, joint)]
    assert sums[0] == sums[1]
    # 12 samples of a step: 6 for each device, in forwards of 3
    assert found["steps"][1] | {"name": "", "steps": 0} == {
        "name": "",
        "steps": 0,
        "batch_size": 12,
        "devices": 2,
        "forward_size": 3,
        "forwards": 2,
    }


def test_validate_reads_a_few_samples():
    text, joint = json.loads(run("validate", "recipe.yaml", "--json"))["samples"]
    assert text["tokens_per_step"] > 8 * 10
    assert set(joint["epochs"]) == {"lists", "scenes"}
    assert sum(joint["epochs"].values()) > 1
    assert json.loads(run("validate", "recipe.yaml", "--no-data", "--json"))["samples"] == []


def test_report_as_text():
    told = run("validate", "recipe.yaml")
    assert "Stage joint: 6 steps of 12 samples (1 device x 3 forwards of 4)" in told
    rows = [line.split() for line in told.splitlines()]
    assert ["backbone.model.model.vision_tower", "72", "frozen"] in [
        [row[0], "72", row[-1]] for row in rows if row
    ]
    assert "parameters are trained. Memory" in told and "the checkpoint at the end" in told
    assert "tokens a step. Passes over the data: scenes" in told
    assert "lists 2" not in told and "of one record for each sample: lists." in told
    assert "A run of tiny writes up to" in told


@pytest.mark.parametrize(
    ("right", "wrong", "line", "message"),
    [
        ("    steps: 3", "    stpes: 3", 14, "unknown key. Did you mean 'steps'?"),
        ("toy.detection", "toy.detectoin", 7, "Did you mean 'toy.detection'?"),
        ("num_scenes: 6", "num_scene: 6", 10, "Did you mean 'num_scenes'?"),
        ("{decoders: 0, ", "{decodres: 0, ", 16, "no parameter lies below it"),
        ("    learning_rate: 2.0e-3", "    learning_rate: 0", 17, "trains nothing"),
        ("toy.detection", "toy.detection\n      weights: no.safetensors", 8, "no.safetensors"),
        ("name: tiny\n", "name: tiny\nstart: runs/none\n", 2, "no config.json"),
        ("num_scenes: 6", "num_scenes: 0", 10, "num_scenes"),
        ("format: scenes, options: {num_scenes: 6, size: 64}", "format: coco, options: "
         "{annotations: none.json, images: none}", 10, "none.json"),
        ("size: 64}}", "size: 64}, conversation: {token: '[SEG]'}}", 18, "[SEG]"),
        ("micro_batch_size: 4", "micro_batch_size: 4\n    block_size: 5", 22, "block_size: "),
    ],
)  # fmt: skip
def test_validate_finds_before_a_run(tmp_path, right, wrong, line, message):
    changed(tmp_path, right, wrong)
    [problem] = problems()
    assert problem.startswith(f"recipe.yaml, line {line}, ")
    assert message in problem


def test_problems_of_file_and_model_are_told_together(tmp_path):
    changed(tmp_path, "learning_rate: 2.0e-3", "learning_rate: 0")
    told = problems("--set", "model.decoders.0.weights=none", "--set", "data.scenes.options={}")
    assert [text.partition(": ")[0] for text in told] == [
        "--set model.decoders.0.weights=none, model.decoders.0.weights",
        "recipe.yaml, line 17, stages.1.name",
    ]
    assert run("validate", "recipe.yaml", status=1).startswith("recipe.yaml, line 17, stages.1")


def test_data_of_a_recipe_with_other_faults_are_opened(tmp_path):
    options = "options={annotations: none.json, images: none}"
    changed(tmp_path, "    steps: 3", "    stpes: 3")
    sets = ("--set", "data.scenes.format=coco", "--set", f"data.scenes.{options}")
    told = problems(*sets)
    assert len(told) == 2
    assert "data.scenes: " in told[0] and "none.json" in told[0]
    assert "stpes" in told[1]  # in a later line
    assert len(problems(*sets, "--no-data")) == 1
    [unknown, _] = problems("--set", "data.scenes.options={num_scene: 6}")
    assert "num_scene" in unknown  # told once: the set is not opened


def test_data_that_nothing_uses_are_not_opened(tmp_path):
    unused = "  unused: {task: detection, format: coco, options: {annotations: no, images: no}}\n"
    changed(tmp_path, "stages:\n", f"{unused}stages:\n")
    assert problems(status=0) == []
    [told] = problems("--set", "stages.0.steps=four")
    assert "stages.0.steps" in told
    told = problems("--set", "stages.0.steps=four", "--set", "chat_guard={data: unused}")
    assert len(told) == 2 and "line 11, data.unused: " in told[0]


def test_block_of_set_is_told_at_its_own_key():
    [problem] = problems("--set", "stages.1.block_size=5")
    assert problem.startswith("--set stages.1.block_size=5, stages.1.block_size: ")


@pytest.mark.parametrize("wanted", [(16, 24, 32), (16, 24, 33)])
def test_maps_that_a_decoder_cannot_take_are_found(monkeypatch, wanted):
    def loss(self, links, inputs):
        assert links.counts().tolist() == [1] and not links.states.any()
        found = tuple(one.shape[1] for one in inputs["image_features"])
        if found != wanted:
            raise InputError(f"expected maps of {wanted}. Received: {found}")
        raise NotImplementedError("Cannot copy out of meta tensor; no data!")  # as torch says

    monkeypatch.setattr(ToyBoxDecoder, "uses_image_features", True)
    monkeypatch.setattr(ToyBoxDecoder, "loss", loss)
    if wanted == (16, 24, 32):
        assert problems(status=0) == []
        return
    [problem] = problems()
    place = "recipe.yaml, line 7, model.decoders.0.config: "
    assert problem == f"{place}expected maps of {wanted}. Received: (16, 24, 32)"


def test_start_parts_that_are_not_there(tmp_path):
    start = tmp_path / "start"
    start.mkdir()
    (start / "config.json").write_text("{}")
    changed(tmp_path, "name: tiny\n", "name: tiny\nstart: start\nstart_parts: [decoder, queries]\n")
    [problem] = problems()
    assert "line 3, start_parts.0" in problem and "Did you mean 'decoders'?" in problem


def test_weights_of_a_backbone_are_not_needed(tmp_path):
    tiny_backbone("llava").save(tmp_path / "backbone")
    (tmp_path / "backbone" / "model.safetensors").unlink()
    choice = "model.backbone={name: transformers, config: {source: backbone}}"
    path = "stages.0.learning_rates={decoders: 0}"
    found = json.loads(run("validate", "recipe.yaml", "--set", choice, "--set", path, "--json"))
    assert not found["memory"]["weights_loaded"]


def test_missing_file_ends_in_a_panel():
    result = CliRunner().invoke(app, ["recipe", "validate", "none.yaml"])
    assert result.exit_code == 2 and "Expected a recipe file" in result.stderr


@pytest.mark.parametrize("command", ["show", "validate", "schema"])
def test_help_teaches(command):
    assert f"superlink recipe {command}" in run(command, "--help")
