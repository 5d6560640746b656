"""A tiny run that has learned to route, and what a diagnosis says of it or of others."""

from __future__ import annotations

import copy
import shutil

import pytest

from superlink.build import load
from superlink.diagnosis.links import diagnose_links, draw_samples, find_run
from superlink.registry import Registry, validate_config
from superlink.testing import installed_plugin
from superlink.training import Recipe, train
from superlink.training.dataset import open_data

RECIPE = {
    "name": "tiny",
    "model": {
        "backbone": {
            "name": "tiny_llava",
            "config": {
                "hidden_size": 64,
                "num_layers": 1,
                "num_heads": 4,
                "image_size": 32,
                "encoder": "conv",
            },
        },
        "decoders": [{"name": "toy.detection"}],
    },
    "data": {
        "scenes": {
            "task": "detection",
            "format": "scenes",
            "options": {"num_scenes": 4, "size": 64, "max_objects": 1},
            "conversation": {"max_negatives": 0},
        },
    },
    "stages": [
        {
            "name": "joint",
            "data": "scenes",
            "steps": 60,
            "batch_size": 4,
            "learning_rate": 1e-2,
            "warmup_steps": 2,
            "link_loss": 0.5,
        }
    ],
}


@pytest.fixture(scope="module")
def registry(toy_detection):
    """What superlink offers, and a toy decoder that answers to `[DET]`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SUPERLINK_PLUGINS", "fake-toy")
        with installed_plugin("fake-toy", {"fake_toy": toy_detection}):
            yield Registry.discover()


@pytest.fixture(scope="module")
def run(registry, tmp_path_factory):
    """Train the recipe with changes to its stage, and give the folder: `run(steps=2)`."""

    def run(**changes):
        raw = copy.deepcopy(RECIPE)
        raw["stages"][0] |= changes
        folder = tmp_path_factory.mktemp("runs") / "tiny"
        train(validate_config(Recipe, raw, "a test"), folder, registry=registry, progress=False)
        return folder

    return run


@pytest.fixture(scope="module")
def learned(run):
    """The folder of a run that has learned to route."""
    return run()


@pytest.fixture
def copied(learned, tmp_path):
    """A copy of it, to be spoiled."""
    return shutil.copytree(learned, tmp_path / "run")


@pytest.fixture
def look(registry):
    """The findings on a run by check and subject: `look(folder, spoil=lambda model: ...)`."""

    def look(folder, spoil=lambda model: None, **options):
        found = find_run(folder)
        source = open_data(found.recipe.data["scenes"], registry)
        samples, broken = draw_samples([source], 4, seed=0)
        assert broken == []
        model = load(found.model, registry)
        spoil(model)
        diagnosis = diagnose_links(model, samples, run=found, **options)
        return {(f.check, f.subject): f for f in diagnosis.findings}

    return look
