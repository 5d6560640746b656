"""A tiny experiment on the toy detector: two variants, two seeds, a second a run."""

from __future__ import annotations

import copy

import pytest
import yaml

from superlink.ablation import load_experiment
from superlink.registry import Registry
from superlink.testing import installed_plugin

SIZES = {"hidden_size": 64, "num_layers": 1, "num_heads": 4, "image_size": 64, "encoder": "conv"}
EXPERIMENT = {
    "name": "toy",
    "about": "Do more queries help?",
    "recipe": {
        "name": "tiny",
        "model": {
            "backbone": {"name": "tiny_llava", "config": SIZES},
            "decoders": [{"name": "toy.detection"}],
        },
        "data": {
            "scenes": {
                "task": "detection",
                "format": "scenes",
                "options": {"num_scenes": 4, "size": 64, "max_objects": 2},
            }
        },
        "stages": [{"name": "joint", "data": "scenes", "steps": 2, "batch_size": 2}],
    },
    "variants": {1: ["model.decoders.0.num_queries=1"], 4: []},
    "seeds": [0, 1],
    "measurements": {
        "boxes": {
            "task": "detection",
            "format": "scenes",
            "options": {"split": "val", "num_scenes": 3, "size": 64},
            "routing": "forced",
            "metrics": ["box_AP50"],
        }
    },
    "claims": [
        {"text": "More help.", "metric": "boxes/box_AP50/forced", "order": "4 > 1"},
        {"text": "Queries are cheap."},
    ],
}


@pytest.fixture
def registry(monkeypatch, toy_detection):
    """What superlink offers, and a toy decoder that answers to `[DET]`."""
    monkeypatch.setenv("SUPERLINK_PLUGINS", "fake-toy")
    with installed_plugin("fake-toy", {"fake_toy": toy_detection}):
        yield Registry.discover()


@pytest.fixture
def write(tmp_path):
    """Write the experiment with changes to its keys: `write(seeds=[0])` gives its path."""

    def write(**changes):
        path = tmp_path / "experiment.yaml"
        path.write_text(yaml.safe_dump({**copy.deepcopy(EXPERIMENT), **changes}))
        return path

    return write


@pytest.fixture
def experiment(write):
    """Load the experiment with changes to its keys."""
    return lambda **changes: load_experiment(write(**changes))
