"""Recipes: what is wrong in one is told before anything is trained, with the nearest valid name."""

from __future__ import annotations

import textwrap

import pytest

from superlink.errors import ConfigError
from superlink.training import load_recipe

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
        ("stages:", "stagse:", "stagse", "stages"),
        ("decoders:", "decoder:", "model.decoder", "decoders"),
        ("tokens:", "token:", "model.decoders.0.token", "tokens"),
        ("steps: 10", "step: 10", "stages.0.step", "steps"),
        ("format:", "fromat:", "data.scenes.fromat", "format"),
    ],
)
def test_unknown_key_names_the_nearest_at_any_depth(load, right, wrong, key, nearest):
    with pytest.raises(ConfigError, match=rf"unknown key '{key}'. Did you mean '{nearest}'\?"):
        load(RECIPE.replace(right, wrong))


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
    with pytest.raises(ConfigError, match=r"name of its own.*\['joint', 'joint'\]"):
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
        ("stages.0.stpes=1", "unknown key 'stages.0.stpes'. Did you mean 'steps'"),
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
