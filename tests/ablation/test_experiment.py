"""Experiments: what a file may say, and what is said to mistakes in it."""

from __future__ import annotations

import copy

import pytest
import yaml

from superlink.ablation import load_experiment
from superlink.errors import ConfigError

from .conftest import EXPERIMENT

CLAIM = {"text": "More help.", "metric": "boxes/box_AP50/forced"}


def test_variants_change_the_recipe_and_seeds_its_seed(experiment):
    loaded = experiment()
    recipe = loaded.recipe_of("1", 7)
    assert (recipe.seed, recipe.model.decoders[0].num_queries) == (7, 1)
    assert loaded.recipe_of("4", 0).model.decoders[0].num_queries is None


def test_recipe_is_found_beside_the_experiment(write, tmp_path, monkeypatch):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(EXPERIMENT["recipe"]))
    path = write(recipe="mine.yaml")
    monkeypatch.chdir("/")
    assert load_experiment(path).recipe_of("4", 0).name == "tiny"


def test_change_of_many_lines(experiment):
    stages = "stages=\n- name: other\n  data: scenes\n  steps: 5\n"
    loaded = experiment(variants={"1": [], "4": [stages]})
    assert loaded.recipe_of("4", 0).stages[0].steps == 5


@pytest.mark.parametrize(
    ("order", "best_first"),
    [("8 > 4 > 1", ("8", "4", "1")), ("one < two words", ("two words", "one"))],
)
def test_order_in_both_directions(experiment, order, best_first):
    variants = {name: [] for name in best_first}
    loaded = experiment(variants=variants, claims=[{**CLAIM, "order": order}])
    assert loaded.claims[0].best_first == best_first


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"claim": []}, "Did you mean 'claims'"),
        ({"seeds": [0, 0]}, "each seed is given once"),
        ({"variants": {"1": ["seed=3"], "4": []}}, "experiment's to set"),
        ({"variants": {"1": ["stages.0.step=3"], "4": []}}, "The variant '1' cannot be trained"),
        ({"variants": {"a/b": []}}, "a/b"),
        ({"claims": [CLAIM]}, "both or none"),
        ({"claims": [{**CLAIM, "order": "4 > 2"}]}, "wants the variant '2'"),
        ({"claims": [{**CLAIM, "order": "4 > 1 < 4"}]}, "each variant once"),
        ({"claims": [{**CLAIM, "metric": "box/m/f", "order": "4 > 1"}]}, "Did you mean 'boxes'"),
        ({"measurements": {"boxes": {"task": "detection"}}}, "format"),
        ({"recipe": "none.yaml"}, "Expected a recipe file"),
    ],
)
def test_mistakes_are_told(experiment, changes, message):
    with pytest.raises(ConfigError) as error:
        experiment(**changes)
    assert message in str(error.value)


def test_order_of_an_unknown_variant_is_told_without_the_whole_file(experiment):
    with pytest.raises(ConfigError) as error:
        experiment(claims=[{**CLAIM, "order": "4 > 2"}])
    last = str(error.value).splitlines()[-1]
    assert last == "- claims.0.order: '4 > 2' wants the variant '2'. Choose from: 1, 4."


def test_broken_yaml_is_told_with_its_file_and_line(tmp_path):
    (tmp_path / "experiment.yaml").write_text("name: a\nrecipe: [\n")
    with pytest.raises(ConfigError, match=r'in ".*experiment.yaml", line 3') as error:
        load_experiment(tmp_path / "experiment.yaml")
    assert "unicode string" not in str(error.value)


def test_names_are_looked_up_before_anything_is_trained(write, registry):
    recipe = copy.deepcopy(EXPERIMENT["recipe"])
    recipe["model"]["decoders"][0]["name"] = "toy.detectoin"
    with pytest.raises(ConfigError, match=r"toy\.detection"):
        load_experiment(write(recipe=recipe), registry=registry)


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", None])
def test_file_that_is_no_experiment(tmp_path, text):
    path = tmp_path / "experiment.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=r"experiment\.yaml"):
        load_experiment(path)
