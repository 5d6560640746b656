"""The recipes of the examples name what there is."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from superlink.registry import default_registry, validate_config
from superlink.training import load_recipe
from superlink.training.dataset import open_data

EXAMPLES = Path(__file__).parents[2] / "examples"
RECIPES = [
    *(
        EXAMPLES / name / "recipe.yaml"
        for name in ("few_images", "few_poses", "poses", "three_stages")
    ),
    *(EXAMPLES / name / "recipe.yaml" for name in ("regions", "scenes")),
    *(EXAMPLES / "pictures" / name for name in ("icons.yaml", "edits.yaml")),
]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_decoders_take_their_settings(path):
    registry = default_registry()
    for choice in load_recipe(path).model.decoders:
        spec = registry.decoder(choice.name)
        config_class = registry.load("decoder", choice.name, spec.config_class)
        validate_config(config_class, choice.config, "the recipe")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_stages_read_data_whose_tokens_the_model_has(path):
    recipe, registry = load_recipe(path), default_registry()
    tokens = {
        token
        for choice in recipe.model.decoders
        for token in choice.tokens or registry.decoder(choice.name).routing_tokens
    }
    for name in {name for stage in recipe.stages for name in stage.names}:
        choice = recipe.data[name]
        if "annotations" in choice.options:
            continue  # of the user
        records, conversation = open_data(choice, registry)
        answer = conversation(records[0], random.Random(0), True).messages[-1].text
        assert {part for part in tokens if part in answer} or "[" not in answer
