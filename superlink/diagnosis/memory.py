"""What the stages of a recipe hold in memory, and what a run writes, told before it starts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch

from ..checkpoint import read_config
from ..errors import CheckpointError
from ..linked import LinkedModel
from ..linked.sizes import PartSize, part_sizes
from ..registry import Registry
from ..training.naming import LinkNaming
from ..training.parameters import freeze, learning_rate_of
from ..training.recipe import Recipe, Stage
from .empty import build_empty

__all__ = [
    "ASSUMPTIONS",
    "ModuleRate",
    "PartMemory",
    "RecipeMemory",
    "StageMemory",
    "measure",
    "recipe_memory",
]

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
_WRAPPERS = {"backbone", "model"}
"""Names of modules that hold a whole backbone."""


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
class ModuleRate:
    """Parameters of one module that move at one speed in one stage."""

    path: str
    """Path of the module, as `learning_rates` of a recipe name it: `queries`, `decoders.NAME`, and
    the parts of the backbone one by one."""
    parameters: int
    """Numbers that it holds."""
    learning_rate: float
    """Their learning rate; 0 where they are frozen."""


@dataclass(frozen=True)
class StageMemory:
    """What one stage trains and holds."""

    name: str
    """Name of the stage."""
    modules: tuple[ModuleRate, ...]
    """What it trains, and what is frozen."""
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
                    "modules": [vars(module) for module in stage.modules],
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
    return measure(*build_empty(recipe, registry), recipe)


def measure(model: LinkedModel, loaded: bool, recipe: Recipe) -> RecipeMemory:
    """What the stages of a recipe hold, of its model on any device.

    Raises:
        ConfigError: A stage names a path that is not there, or trains nothing.
    """
    fixed = frozenset(name for name, p in model.named_parameters() if not p.requires_grad)
    stages, changed = [], _starts_elsewhere(recipe)
    for stage in recipe.stages:
        freeze(model, stage, fixed)
        sizes = part_sizes(model, backbone_changed=changed)
        changed = changed or any(s.name == "backbone" and s.trained for s in sizes)
        stages.append(_stage_memory(model, stage, sizes))
    return RecipeMemory(recipe.name, loaded, tuple(stages))


def _starts_elsewhere(recipe: Recipe) -> bool:
    """Whether the backbone starts from weights that its source does not have."""
    parts = ("backbone",) if recipe.start_parts is None else recipe.start_parts
    if recipe.start is None or not any(part.split(".")[0] == "backbone" for part in parts):
        return False
    try:
        return bool(read_config(recipe.start)["backbone"]["saved"])
    except (CheckpointError, KeyError):  # not there yet: as if it had been trained
        return True


def _module_rates(model: LinkedModel, stage: Stage) -> tuple[ModuleRate, ...]:
    numbers: Counter[tuple[str, float]] = Counter()
    for name, parameter in model.named_parameters():
        rate = learning_rate_of(name, stage) if parameter.requires_grad else 0.0
        numbers[_module_of(name), rate] += parameter.numel()
    return tuple(ModuleRate(path, number, rate) for (path, rate), number in numbers.items())


def _module_of(name: str) -> str:
    """`queries` of `queries.tokens`; of a backbone its tower, projector and language model."""
    parts = name.split(".")
    if parts[0] == "decoders":
        return ".".join(parts[:2])
    depth = next((i for i, part in enumerate(parts) if part not in _WRAPPERS), len(parts) - 1)
    return ".".join(parts[: depth + 1])


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
    modules = _module_rates(model, stage)
    return StageMemory(stage.name, modules, tuple(parts), checkpoint, resumable)


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
