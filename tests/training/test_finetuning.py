"""The recipe of a fine-tuning: the same model, started from its weights, on other data."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from superlink.build import load
from superlink.checkpoint import read_config
from superlink.demo import MODEL
from superlink.errors import CheckpointError, ConfigError
from superlink.registry import default_registry
from superlink.training import finetuning, load_recipe
from superlink.training.finetuning import finetune_recipe, steps_in, write_recipe
from superlink.training.starting import start_from


@pytest.fixture
def recipe():
    return finetune_recipe(MODEL, "instances.json", "images", ["nut", "bolt"], name="my nuts!")


def test_model_is_that_of_the_checkpoint(recipe):
    from superlink.build import build_model

    registry = default_registry()
    model = build_model(recipe.model, registry)
    start_from(model, recipe.start, recipe.start_parts, registry)
    theirs = load(MODEL)
    assert model.vocabulary.ids == theirs.vocabulary.ids
    for name, weight in theirs.state_dict().items():
        assert weight.equal(model.state_dict()[name]), name
    assert [d.config for d in recipe.model.decoders] == [
        entry["config"] for entry in read_config(MODEL)["decoders"]
    ]


def test_name_is_one_that_a_folder_can_have(recipe):
    assert recipe.name == "my-nuts-"


def test_masks_are_asked_for_in_reading_and_in_talking(recipe):
    other = finetune_recipe(MODEL, "instances.json", "images", ["nut"], masks=True)
    assert "masks" not in recipe.data["train"].options
    assert other.data["train"].options["masks"] and other.data["train"].conversation["masks"]


def test_recipe_comes_back_from_its_file_with_its_changes(recipe, tmp_path):
    path = tmp_path / "recipe.yaml"
    changed = write_recipe(recipe, path, "superlink finetune ...", ["stages.1.batch_size=4"])
    assert changed.stages[1].batch_size == 4
    assert load_recipe(path) == changed
    assert path.read_text().startswith("# Made by: superlink finetune ...\n")
    assert list(tmp_path.iterdir()) == [path]


def test_minutes_are_told_by_the_pace_of_a_few_steps(recipe, monkeypatch):
    seen = []

    def train(probe, folder, **others):
        seen.append(probe)
        return SimpleNamespace(history=({"loss": 1.0}, {"train_runtime": 4.0}))

    monkeypatch.setattr(finetuning, "train", train)
    assert steps_in(recipe, 2.0) == 240  # eight steps took four seconds
    (stage,) = seen[0].stages
    assert (stage.name, stage.steps, stage.save_steps) == ("joint", 8, None)


def test_no_minutes_are_refused(recipe):
    with pytest.raises(ConfigError, match="minutes=0"):
        steps_in(recipe, 0)


def test_folder_without_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"config\.json"):
        finetune_recipe(tmp_path, "instances.json", "images", ["nut"])
