"""Weights of a checkpoint reach what they belong to."""

from __future__ import annotations

import pytest

from superlink.checkpoint import save
from superlink.errors import CheckpointError
from superlink.link import RegionConfig
from superlink.testing import toy_model, toy_registry
from superlink.testing.models import TOY_SPOT
from superlink.testing.toy_decoder import TOY_BOX
from superlink.training.starting import start_from


def test_tokens_in_another_order_are_refused_and_other_parts_are_not(tmp_path):
    folder = save(toy_model(specs=(TOY_BOX, TOY_SPOT)), tmp_path / "first")
    model = toy_model(specs=(TOY_SPOT, TOY_BOX), seed=1)
    with pytest.raises(CheckpointError, match="by their order"):
        start_from(model, folder, None, toy_registry())
    start_from(model, folder, ["decoders"], toy_registry())


def test_an_encoder_of_regions_that_is_asked_for_must_be_there(tmp_path):
    folder = save(toy_model(), tmp_path / "first")
    model = toy_model(regions=RegionConfig(image_size=32, dims=16))
    start_from(model, folder, None, toy_registry())
    with pytest.raises(CheckpointError, match="'regions"):
        start_from(model, folder, ["regions"], toy_registry())
