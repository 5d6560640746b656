"""The checks of regions find what is broken on purpose, and say where there is nothing to check."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch

from superlink.backbones.loading import TransformersConfig, build_backbone
from superlink.build import ModelConfig, build_model, load
from superlink.checkpoint import save
from superlink.testing.backbone_case import BackboneCase
from superlink.testing.backbone_checks import BACKBONE_CHECKS
from superlink.testing.backbones import tiny_backbone
from superlink.testing.checks import run_checks
from superlink.testing.matrix import tiny_architecture
from superlink.testing.models import toy_model, toy_registry
from superlink.testing.plain_backbone import PlainBackbone

CHECKS = [check for check in BACKBONE_CHECKS if check.topic == "regions"]


def statuses(case):
    return {result.name: result.status for result in run_checks(CHECKS, case)}


def failed(case):
    return {name for name, status in statuses(case).items() if status == "failed"}


@pytest.fixture
def case():
    return BackboneCase(lambda: tiny_backbone("llava"))


@pytest.mark.parametrize("architecture", ["llava", "qwen2_5_vl"])
def test_built_in_backbones_pass(architecture):
    found = statuses(BackboneCase(lambda: tiny_backbone(architecture)))
    assert len(found) == 4 and {*found.values()} == {"passed"}


def test_cells_in_another_order_are_found(case):
    shares = case.backbone.region_shares
    case.backbone.region_shares = lambda image, masks: shares(image, masks).flip(1)
    assert failed(case) == {"region_cells"}


def test_shares_of_cells_that_there_are_not_are_found(case):
    shares = case.backbone.region_shares
    case.backbone.region_shares = lambda image, masks: shares(image, masks)[:, :-1]
    assert "region_cells" in failed(case)


def test_values_in_the_place_behind_their_own_are_found(case):
    put = case.model.hooks._put_regions
    case.model.hooks._put_regions = lambda pending, out: put(pending.roll(1, 1), out)
    assert "region_place" in failed(case)


def test_values_of_another_row_are_found(case):
    values = case.model.region_values
    case.model.region_values = lambda regions, features: (
        None if regions is None else values(regions, features).flip(0)
    )
    assert failed(case) == {"region_batch"}


def test_a_prompt_that_is_read_without_its_regions_is_found(case):
    def prefill(*arguments, **options):
        values = case.model.hooks.region_values
        with nullcontext() if values is None else case.model.hooks.filled(torch.zeros_like(values)):
            return type(case.backbone).prefill(case.backbone, *arguments, **options)

    case.backbone.prefill = prefill
    assert failed(case) == {"region_block"}


def test_a_backbone_without_cells_and_a_model_without_an_encoder_are_passed_over(case):
    assert {*statuses(BackboneCase(PlainBackbone)).values()} == {"skipped"}
    case.model = toy_model(backbone=case.backbone)
    assert {*statuses(case).values()} == {"skipped"}


def test_a_backbone_of_several_levels_passes_and_comes_back_with_a_checkpoint(tmp_path):
    tiny_architecture("llava").save(tmp_path)
    config = {"source": str(tmp_path), "dtype": "float32", "region_levels": 3}
    found = statuses(BackboneCase(lambda: build_backbone(TransformersConfig(**config))))
    assert {*found.values()} == {"passed"}
    choice = {"name": "transformers", "config": config}
    raw = {"backbone": choice, "decoders": [{"name": "toy.box"}], "regions": {"image_size": 32}}
    model = build_model(ModelConfig.model_validate(raw), toy_registry())
    again = load(save(model, tmp_path / "linked"), toy_registry())
    assert model.backbone.grid_width == again.backbone.grid_width == 3 * 64
