"""Weights of a checkpoint reach what they belong to."""

from __future__ import annotations

import pytest
import torch

from superlink.checkpoint import save
from superlink.errors import CheckpointError
from superlink.interfaces import LoraChoice, Message, Sample
from superlink.link import RegionConfig
from superlink.testing import toy_model, toy_registry
from superlink.testing.backbones import tiny_backbone
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


def test_lora_begins_on_the_weights_of_a_checkpoint_without(tmp_path):
    first = toy_model()
    folder = save(first, tmp_path / "first")
    model = toy_model(seed=1)
    model.backbone.add_lora(LoraChoice(rank=2))
    updates = {n: v.clone() for n, v in model.state_dict().items() if ".lora_" in n}
    start_from(model, folder, None, toy_registry())
    expected = first.backbone.base_state_dict()
    assert all(torch.equal(v, expected[n]) for n, v in model.backbone.base_state_dict().items())
    now = model.state_dict()
    assert updates and all(torch.equal(now[name], value) for name, value in updates.items())
    start_from(model, folder, ["backbone"], toy_registry())


def test_lora_of_a_checkpoint_is_kept_or_goes_into_the_weights(tmp_path):
    first = toy_model()
    first.backbone.add_lora(LoraChoice(rank=2))
    with torch.no_grad():
        for name, value in first.backbone.named_parameters():
            if ".lora_" in name:
                value.normal_(std=0.1)
    folder = save(first, tmp_path / "first")
    with_lora, without = toy_model(seed=1), toy_model(seed=1)
    with_lora.backbone.add_lora(LoraChoice(rank=2))
    other = toy_model(seed=1)
    other.backbone.add_lora(LoraChoice(rank=3))
    inputs = first.processor.encode([Sample((Message("user", "hello"),))]).inputs
    expected = first.backbone(inputs).logits
    for model in (with_lora, without):
        start_from(model, folder, None, toy_registry())
        assert torch.allclose(model.backbone(inputs).logits, expected, atol=1e-4)
    with pytest.raises(CheckpointError, match=r"lora_.*\(2, "):
        start_from(other, folder, None, toy_registry())


def test_other_words_are_refused_and_the_first_is_named(tmp_path):
    """As many words, so that every shape fits."""
    folder = save(toy_model(backbone=tiny_backbone(words=("gnu", "qxz"))), tmp_path / "first")
    model = toy_model(backbone=tiny_backbone(words=("gnu", "qxy")))
    with pytest.raises(CheckpointError, match=r"the id \d+ is '\w+' there, '\w+' here"):
        start_from(model, folder, None, toy_registry())
    start_from(model, folder, ["decoders", "queries", "connectors"], toy_registry())
    same = toy_model(backbone=tiny_backbone(words=("qxz", "gnu")), seed=1)
    start_from(same, folder, None, toy_registry())
