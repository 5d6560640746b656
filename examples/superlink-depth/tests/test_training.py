"""What the recipe trains answers questions about pictures that it has never seen."""

import random
from pathlib import Path

import pytest
from superlink.evaluation import evaluate
from superlink.training import load_recipe, train

from superlink_depth.data import draw_pictures
from superlink_depth.evaluation import DepthEvaluator
from superlink_depth.task import conversation

RECIPE = Path(__file__).parents[1] / "recipe.yaml"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    recipe = load_recipe(RECIPE, ["stages.0.steps=200"])
    return train(recipe, tmp_path_factory.mktemp("run"), progress=False).model


def test_trained_model_finds_what_it_is_asked_for(model):
    pictures = draw_pictures(num_pictures=20, seed=1)
    samples = [conversation(p, random.Random(i), training=False) for i, p in enumerate(pictures)]
    found = evaluate(model, samples, DepthEvaluator(), "forced", progress=False)
    assert found.metrics["IoU"] > 0.5
