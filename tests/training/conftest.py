"""A recipe that trains a tiny model with the toy decoder on built-in scenes, a second a stage."""

from __future__ import annotations

import copy

import pytest

from superlink.registry import Registry, validate_config
from superlink.testing import installed_plugin
from superlink.testing.toy_decoder import ToyBoxDecoder
from superlink.training import Recipe

RECIPE = {
    "name": "tiny",
    "model": {
        "backbone": {
            "name": "tiny_llava",
            "config": {
                "hidden_size": 64,
                "num_layers": 2,
                "num_heads": 4,
                "image_size": 64,
                "encoder": "conv",
            },
        },
        "decoders": [{"name": "toy.detection"}],
    },
    "data": {
        "scenes": {
            "task": "detection",
            "format": "scenes",
            "options": {"num_scenes": 6, "size": 64, "max_objects": 2},
        },
        "lists": {"task": "class_list", "format": "names"},
    },
    "stages": [
        {
            "name": "joint",
            "data": "scenes",
            "steps": 20,
            "batch_size": 4,
            "learning_rate": 3e-3,
            "warmup_steps": 2,
        }
    ],
}


@pytest.fixture
def registry(monkeypatch, toy_detection):
    """What superlink offers, and a toy decoder that answers to `[DET]`."""
    monkeypatch.setenv("SUPERLINK_PLUGINS", "fake-toy")
    with installed_plugin("fake-toy", {"fake_toy": toy_detection}):
        yield Registry.discover()


@pytest.fixture
def toy_environment(toy_detection):
    """What a process of its own needs to find the same toy decoder, and no other."""
    with installed_plugin("fake-toy", {"fake_toy": toy_detection}) as folder:
        yield {"PYTHONPATH": str(folder), "SUPERLINK_PLUGINS": "fake-toy"}


@pytest.fixture
def recipe():
    """Build the recipe with changes to its stage: `recipe(steps=5)`, or with stages of its own."""

    def build(*stages, model=None, datasets=None, seed=0, **changes):
        raw = copy.deepcopy(RECIPE) | {"seed": seed}
        raw["model"] |= model or {}
        raw["data"] |= datasets or {}
        (stage,) = raw["stages"]
        raw["stages"] = [stage | changes | own for own in stages or ({},)]
        return validate_config(Recipe, raw, "a test")

    return build


@pytest.fixture
def sharing(monkeypatch):
    """Let the toy decoder share the maps of the image encoder, and give the settings of a tiny
    model whose encoder is full of BatchNorm."""
    pytest.importorskip("efficientnet_lite_pytorch")
    monkeypatch.setattr(ToyBoxDecoder, "uses_image_features", True)
    sizes = {"hidden_size": 32, "num_layers": 1, "num_heads": 2, "image_size": 32}
    encoder = {"encoder": "efficientnet_lite0", "pretrained_encoder": False}
    return {"backbone": {"name": "tiny_llava", "config": {**sizes, **encoder}}}
