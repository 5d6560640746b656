"""What the stages of a recipe hold in memory, and what a run writes, told before it starts."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch

from ..build import attach
from ..interfaces import Backbone
from ..linked import LinkedModel, Origin
from ..linked.sizes import PartSize, part_sizes
from ..registry import Registry
from ..training.naming import LinkNaming
from ..training.parameters import freeze
from ..training.recipe import Recipe, Stage

__all__ = ["ASSUMPTIONS", "PartMemory", "RecipeMemory", "StageMemory", "recipe_memory"]

ASSUMPTIONS = (
    "One device holds everything. A gradient has the precision of its weight, and AdamW keeps two "
    "values of that precision for each trained weight; a moving average is in float32.",
    "Activations, the cache of kernels and what AdamW needs for a moment in its step are not "
    "estimated: they grow with batch, image and text, and often outweigh the rest.",
)
"""What an estimate means."""

_ADAMW_VALUES = 2
_KEPT_CHECKPOINTS = 2
"""Checkpoints of a stage that stay on the disk, see `superlink.training.trainer`."""
_NAMING = "link loss head"


@dataclass(frozen=True)
class PartMemory:
    """What one part of a model holds in one stage."""

    name: str
    """As `PartSize` names it, or `link loss head`."""
    parameters: int
    """Numbers that it holds."""
    trained: int
    """How many the stage trains; the others are frozen."""
    weight_bytes: int
    """Weights and buffers."""
    gradient_bytes: int
    """Gradients."""
    optimizer_bytes: int
    """The state of AdamW."""
    average_bytes: int
    """The moving average, where the stage keeps one."""

    @property
    def total_bytes(self) -> int:
        """All of it."""
        return self.weight_bytes + self.gradient_bytes + self.optimizer_bytes + self.average_bytes


@dataclass(frozen=True)
class StageMemory:
    """What one stage holds."""

    name: str
    """Name of the stage."""
    parts: tuple[PartMemory, ...]
    """Its parts."""
    checkpoint_bytes: int
    """The checkpoint at its end."""
    resumable_bytes: int
    """Checkpoints from which the stage can go on; 0 where it writes none."""

    @property
    def total_bytes(self) -> int:
        """Memory of all parts, without activations."""
        return sum(part.total_bytes for part in self.parts)


@dataclass(frozen=True)
class RecipeMemory:
    """What a recipe takes."""

    name: str
    """Name of the recipe."""
    weights_loaded: bool
    """Whether the backbone had to be loaded to be measured."""
    stages: tuple[StageMemory, ...]
    """Its stages."""

    @property
    def memory_bytes(self) -> int:
        """Memory of the largest stage, without activations."""
        return max(stage.total_bytes for stage in self.stages)

    @property
    def disk_bytes(self) -> int:
        """What a whole run writes: every stage keeps its checkpoints, and the last one's model is
        written once more."""
        each = [stage.checkpoint_bytes + stage.resumable_bytes for stage in self.stages]
        return sum(each) + self.stages[-1].checkpoint_bytes

    def to_json(self) -> dict[str, Any]:
        """The estimate in plain JSON types, sums included."""
        return {
            "name": self.name,
            "weights_loaded": self.weights_loaded,
            "assumptions": list(ASSUMPTIONS),
            "memory_bytes": self.memory_bytes,
            "disk_bytes": self.disk_bytes,
            "stages": [
                {
                    **vars(stage),
                    "parts": [{**vars(p), "total_bytes": p.total_bytes} for p in stage.parts],
                    "total_bytes": stage.total_bytes,
                }
                for stage in self.stages
            ],
        }


def recipe_memory(recipe: Recipe, registry: Registry) -> RecipeMemory:
    """Build the model of a recipe, without its weights where that is possible, and measure it.

    Raises:
        SuperLinkError: The model cannot be built, or a stage names a path that is not there.
    """
    model, loaded = _build(recipe, registry)
    fixed = frozenset(name for name, p in model.named_parameters() if not p.requires_grad)
    stages, changed = [], False
    for stage in recipe.stages:
        freeze(model, stage, fixed)
        sizes = part_sizes(model, backbone_changed=changed)
        changed = changed or any(s.name == "backbone" and s.trained for s in sizes)
        stages.append(_stage_memory(model, stage, sizes))
    return RecipeMemory(recipe.name, loaded, tuple(stages))


def _build(recipe: Recipe, registry: Registry) -> tuple[LinkedModel, bool]:
    """The model, and whether the weights of its backbone were loaded."""
    choice = recipe.model.backbone
    try:
        # What packages say of weights that go nowhere is of no interest.
        with warnings.catch_warnings(), torch.device("meta"):
            warnings.simplefilter("ignore")
            empty = registry.build("backbone", choice.name, choice.config)
        return _link(empty, recipe, registry), False
    except Exception:  # some models compute with their weights while they are built
        whole = registry.build("backbone", choice.name, choice.config)
        return _link(whole, recipe, registry), True


def _link(backbone: Backbone, recipe: Recipe, registry: Registry) -> LinkedModel:
    config = recipe.model
    model = attach(
        backbone,
        decoders=config.decoders,
        lora=config.backbone.lora,
        registry=registry,
        init_std=config.init_std,
        max_length=config.max_length,
        regions=config.regions,
    )
    # As if its weights had just come from there: a fingerprint would have to read them.
    model.origin = Origin(config.backbone.name, config.backbone.config, fingerprint="of its source")
    return model


def _stage_memory(model: LinkedModel, stage: Stage, sizes: list[PartSize]) -> StageMemory:
    parts = [_part_memory(size, averaged=stage.ema is not None) for size in sizes]
    if stage.link_loss:
        with torch.device("meta"):
            weights = list(LinkNaming(model).parameters())
        number = sum(weight.numel() for weight in weights)
        memory = sum(weight.numel() * weight.element_size() for weight in weights)
        head = PartSize(_NAMING, number, number, memory, memory, checkpoint_bytes=0)
        parts.append(_part_memory(head, averaged=False))
    checkpoint = sum(size.checkpoint_bytes for size in sizes)
    beside = sum(part.optimizer_bytes + part.average_bytes for part in parts)
    resumable = _KEPT_CHECKPOINTS * (checkpoint + beside) if stage.save_steps else 0
    return StageMemory(stage.name, tuple(parts), checkpoint, resumable)


def _part_memory(size: PartSize, *, averaged: bool) -> PartMemory:
    return PartMemory(
        name=size.name,
        parameters=size.parameters,
        trained=size.trained,
        weight_bytes=size.weight_bytes,
        gradient_bytes=size.trained_bytes,
        optimizer_bytes=_ADAMW_VALUES * size.trained_bytes,
        average_bytes=size.trained * torch.float32.itemsize if averaged else 0,
    )
