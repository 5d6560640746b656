"""Recipes: what is wrong in one is told before anything is trained, with the nearest valid name."""

from __future__ import annotations

import re
import textwrap

import pytest

from superlink.errors import ConfigError
from superlink.registry import validate_config
from superlink.training import Recipe, load_recipe

RECIPE = """
name: boxes
model:
  backbone: {name: tiny_llava, config: {hidden_size: 64}}
  decoders:
    - name: mmdet.grounding_dino
      tokens: ["[DET]"]
data:
  scenes: {task: detection, format: scenes}
stages:
  - {name: joint, data: scenes, steps: 10}
  - {name: polish, data: scenes, steps: 5, learning_rates: {decoders: 1.0e-4}}
"""


@pytest.fixture
def load(tmp_path):
    """Load a recipe from its text: `load(text, "seed=3")`."""

    def load(text=RECIPE, *overrides):
        path = tmp_path / "recipe.yaml"
        path.write_text(textwrap.dedent(text))
        return load_recipe(path, overrides)

    return load


@pytest.mark.parametrize(
    ("right", "wrong", "key", "nearest"),
    [
        ("stages:", "stagse:", "line 10, stagse", "stages"),
        ("decoders:", "decoder:", "line 5, model.decoder", "decoders"),
        ("tokens:", "token:", "line 7, model.decoders.0.token", "tokens"),
        ("steps: 10", "step: 10", "line 11, stages.0.step", "steps"),
        ("format:", "fromat:", "line 9, data.scenes.fromat", "format"),
        ("config: {", "lora: {rnak: 3}, config: {", "line 4, model.backbone.lora.rnak", "rank"),
    ],
)
def test_unknown_key_names_its_line_and_the_nearest(load, right, wrong, key, nearest):
    with pytest.raises(ConfigError, match=rf"yaml, {key}: unknown key. Did you mean '{nearest}'\?"):
        load(RECIPE.replace(right, wrong))


def test_all_problems_are_told_in_the_order_of_their_lines(load):
    text = RECIPE.replace("format: scenes", "fromat: scenes").replace("steps: 5", "stpes: 5, lr: 1")
    text = text.replace("joint, data: scenes", "joint, data: scene")
    with pytest.raises(ConfigError) as error:
        load(text, "seed=many")
    told = re.findall(r"^- (.*?): ", str(error.value), re.MULTILINE)
    path = re.match("The recipe (.*) cannot be used", str(error.value))[1]
    assert told == [
        "--set seed=many, seed",
        f"{path}, line 9, data.scenes.fromat",
        f"{path}, line 11, stages.0.data",
        f"{path}, line 12, stages.1.lr",
        f"{path}, line 12, stages.1.stpes",
    ]


@pytest.mark.parametrize(
    ("right", "wrong", "line", "first"),
    [
        ("name: boxes", "name: boxes\nseed: 1\nseed: 2", 4, 3),
        ("steps: 10", "steps: 10, steps: 11", 11, 11),
        ("hidden_size: 64", "hidden_size: 64, hidden_size: 64", 4, 4),
    ],
)
def test_key_that_stands_twice_is_refused(load, right, wrong, line, first):
    with pytest.raises(ConfigError, match=rf"line {line}: the key .* stands in line {first} al"):
        load(RECIPE.replace(right, wrong))


def test_merged_keys_may_be_overwritten(load):
    text = RECIPE.replace("- {name: joint", "- &first {name: joint").replace(
        "- {name: polish, data: scenes", "- {<<: *first, name: polish"
    )
    assert [stage.name for stage in load(text).stages] == ["joint", "polish"]
    with pytest.raises(ConfigError, match=r"line 12, stages.1.name"):
        load(text.replace("polish", "Polish"))


@pytest.mark.parametrize(
    ("data", "key", "message"),
    [
        ("7", "stages.0.data", "should be a valid string"),
        ("[scenes, 1]", "stages.0.data.1", "should be a valid string"),
        ("{scenes: often}", "stages.0.data.scenes", "should be a valid number"),
        ("{scenes: 0}", "stages.0.data", "needs a positive weight"),
        ("[]", "stages.0.data", "a stage needs data sets"),
        ("[scenes, scenes]", "stages.0.data", "each once"),
        ("[scenes, scene]", "stages.0.data", "wants the data 'scene'. Did you mean 'scenes'"),
    ],
)
def test_data_of_no_kind_gets_one_line(load, data, key, message):
    with pytest.raises(ConfigError) as error:
        load(RECIPE.replace("joint, data: scenes", f"joint, data: {data}"))
    assert str(error.value).count("\n") == 1
    assert f"line 11, {key}: " in str(error.value) and message in str(error.value)


@pytest.mark.parametrize("data", ["scenes", "[scenes]", "{scenes: 2}"])
def test_names_of_data_in_any_form(load, data):
    assert load(RECIPE.replace("joint, data: scenes", f"joint, data: {data}")).stages[0].names == (
        "scenes",
    )


def test_chat_guard_of_unknown_data(load):
    with pytest.raises(ConfigError, match=r"line 13, chat_guard.data: .*Did you mean 'scenes'"):
        load(RECIPE + "chat_guard: {data: scene}\n")


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("stages:", "chat_guard: scenes\nstages:", "10, chat_guard: expected a mapping with keys "
         "of data, max_rise, samples. Received: 'scenes'"),
        ("{task: detection, format: scenes}", "coco", "9, data.scenes: expected a mapping with "
         "keys of conversation, format, options, task. Received: 'coco'"),
        ("{name: tiny_llava, config: {hidden_size: 64}}", "tiny_llava", "4, model.backbone: "
         "expected a mapping with keys of config, lora, name. Received: 'tiny_llava'"),
        ("config: {", "lora: 8, config: {", "4, model.backbone.lora: expected a mapping with keys "
         "of alpha, "),
    ],
)  # fmt: skip
def test_name_in_the_place_of_a_mapping_is_told_its_keys(load, right, wrong, told):
    with pytest.raises(ConfigError) as error:
        load(RECIPE.replace(right, wrong, 1))
    assert f"line {told}" in str(error.value)


def test_start_parts_without_a_start(load):
    with pytest.raises(ConfigError, match=r"line 13, start_parts: .* give start as well"):
        load(RECIPE + "start_parts: [decoders]\n")


def test_recipe_of_an_object_refers_to_its_parts_too(load):
    whole = load().model_dump()
    with pytest.raises(ConfigError, match=r"stages.0.data: stage 'joint' wants the data 'scene'"):
        whole["stages"][0]["data"] = "scene"
        validate_config(Recipe, whole, "a test")


def test_negative_rate(load):
    with pytest.raises(ConfigError, match=r"line 12, stages.1.learning_rates.decoders: .*greater"):
        load(RECIPE.replace("decoders: 1.0e-4", "decoders: -1"))


def test_broken_yaml_tells_its_line(load):
    with pytest.raises(ConfigError, match=r"recipe.yaml is not valid YAML[\s\S]*line 3"):
        load("name: a\nmodel:\n  backbone: [1, 2\nstages: 3\n")


def test_missing_file(tmp_path):
    with pytest.raises(ConfigError, match=r"Expected a recipe file.*none.yaml.*No such file"):
        load_recipe(tmp_path / "none.yaml")


def test_folder_is_no_recipe(tmp_path):
    with pytest.raises(ConfigError, match="Expected a recipe file"):
        load_recipe(tmp_path)


def test_binary_file_is_no_recipe(tmp_path):
    path = tmp_path / "weights.yaml"
    path.write_bytes(b"\xff\xfe\x00\x9c")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_recipe(path)


@pytest.mark.parametrize(("text", "kind"), [("- a\n- b\n", "list"), ("", "NoneType"), ("7", "int")])
def test_recipe_that_is_no_mapping(load, text, kind):
    with pytest.raises(ConfigError, match=f"Expected a mapping.*Received: {kind}"):
        load(text)


def test_stage_of_unknown_data_names_what_there_is(load):
    with pytest.raises(ConfigError, match=r"wants the data 'scene'. Did you mean 'scenes'"):
        load(RECIPE.replace("joint, data: scenes", "joint, data: scene"))


def test_two_stages_of_one_name(load):
    with pytest.raises(ConfigError, match=r"line 12, .*name of its own.*\['joint', 'joint'\]"):
        load(RECIPE.replace("polish", "joint"))


@pytest.mark.parametrize("name", ["../joint", "Joint", "a b", ""])
def test_stage_name_that_is_no_folder(load, name):
    with pytest.raises(ConfigError, match=r"stages.0.name"):
        load(RECIPE.replace("name: joint", f"name: '{name}'"))


@pytest.mark.parametrize("name", ["../boxes", "/tmp/boxes", ".."])
def test_recipe_name_that_is_no_folder(load, name):
    with pytest.raises(ConfigError, match="name: String should match"):
        load(RECIPE.replace("name: boxes", f"name: '{name}'"))


def test_set_reaches_nested_keys_lists_and_new_keys(load):
    changed = load(
        RECIPE,
        "seed=3",
        "stages.1.steps=7",
        "model.backbone.config.num_layers=2",
        "model.decoders.0.tokens=['[SEG]', '[DET]']",
        "stages.0.learning_rates={backbone.model: 0, decoders: 1.0e-3}",
    )
    assert (changed.seed, changed.stages[1].steps) == (3, 7)
    assert changed.model.backbone.config == {"hidden_size": 64, "num_layers": 2}
    assert changed.model.decoders[0].tokens == ("[SEG]", "[DET]")
    assert changed.stages[0].learning_rates == {"backbone.model": 0, "decoders": 1e-3}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stages.2.steps=1", "'2' of .* must be an index into a list of 2, counted from 0"),
        ("stages.-1.steps=1", "'-1' of .* must be an index"),
        ("stages.x.steps=1", "'x' of .* must be an index"),
        ("stages.9=1", "'9' of .* must be an index"),
        ("name.a.b=1", "'a' of .* leads into a value"),
        ("name.a=1", "leads into a value"),
        ("stages.0.steps", "Expected --set KEY=VALUE"),
        ("=3", "Expected --set KEY=VALUE"),
        ("stages.0.steps=[1", "The value of .* is not valid YAML"),
        ("stages.0.stpes=1", "stpes=1, stages.0.stpes: unknown key. Did you mean 'steps'"),
        ("stages.0.steps=many", "stages.0.steps: Input should be a valid integer"),
        ("stages.0.steps=0", "stages.0.steps: .* greater than or equal to 1"),
    ],
)
def test_set_that_cannot_be_applied(load, override, message):
    with pytest.raises(ConfigError, match=message):
        load(RECIPE, override)


def test_set_leaves_the_file_alone(load, tmp_path):
    load(RECIPE, "seed=3")
    assert (tmp_path / "recipe.yaml").read_text() == RECIPE
