"""The model of a recipe without its weights, on torch's meta device."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..build import attach
from ..interfaces import Backbone
from ..linked import LinkedModel, Origin
from ..registry import Registry
from ..training.recipe import Recipe

__all__ = ["build_empty"]


def build_empty(
    recipe: Recipe, registry: Registry, *, may_load: bool = True
) -> tuple[LinkedModel, bool]:
    """The model of a recipe on the meta device, and whether its backbone was loaded all the same.

    Args:
        recipe: What to build.
        registry: Where names are looked up.
        may_load: Whether a backbone that computes with its weights while it is built is loaded;
            otherwise its error is raised.
    """
    choice = recipe.model.backbone
    try:
        with _no_weights():
            backbone, loaded = registry.build("backbone", choice.name, choice.config), False
    except Exception:
        if not may_load:
            raise
        backbone, loaded = registry.build("backbone", choice.name, choice.config), True
    if loaded:
        return _link(backbone, recipe, registry), True
    try:
        with _no_weights():
            return _link(backbone, recipe, registry), False
    except Exception:  # some decoders compute with their weights while they are built
        return _link(backbone, recipe, registry), False


@contextmanager
def _no_weights() -> Iterator[None]:
    """What is built has no values; what packages say of weights that go nowhere is no news."""
    with warnings.catch_warnings(), torch.device("meta"):
        warnings.simplefilter("ignore")
        yield


def _link(backbone: Backbone, recipe: Recipe, registry: Registry) -> LinkedModel:
    config = recipe.model
    model = attach(
        backbone,
        # Weights of files go nowhere.
        decoders=[choice.model_copy(update={"weights": None}) for choice in config.decoders],
        lora=config.backbone.lora,
        registry=registry,
        init_std=config.init_std,
        max_length=config.max_length,
        regions=config.regions,
    )
    # As if its weights had just come from there: a fingerprint would have to read them.
    model.origin = Origin(config.backbone.name, config.backbone.config, fingerprint="of its source")
    return model
