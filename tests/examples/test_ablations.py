"""The experiments of the examples can be run: their variants fit the shipped model."""

from __future__ import annotations

from pathlib import Path

import pytest

from superlink.ablation import load_experiment
from superlink.build import build_model
from superlink.registry import default_registry
from superlink.training.dataset import open_data
from superlink.training.starting import start_from

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "ablations"
EXPERIMENTS = sorted(path for path in FOLDER.glob("*.yaml") if path.stem not in ("link", "fresh"))


@pytest.fixture(scope="module")
def registry():
    return default_registry()


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_variant_starts_from_the_shipped_model(path, registry, monkeypatch):
    monkeypatch.chdir(ROOT)
    experiment = load_experiment(path, registry=registry)
    assert experiment.name == path.stem
    assert len(experiment.seeds) >= 3
    for variant in experiment.variants:
        recipe = experiment.recipe_of(variant, 0, registry)
        model = build_model(recipe.model, registry)
        start_from(model, recipe.start, recipe.start_parts, registry)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_what_is_measured_can_be_read_and_is_claimed_of(path, registry):
    experiment = load_experiment(path)
    for name, asked in experiment.measurements.items():
        records, _ = open_data(asked, registry)
        assert len(records) > 0
        assert any((claim.metric or "").startswith(f"{name}/") for claim in experiment.claims)
