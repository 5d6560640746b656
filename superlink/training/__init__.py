"""Training: recipes, stages, and transformers' Trainer underneath.

Names are imported when they are first used: the Trainer takes its time, and a recipe needs none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from .dataset import StageDataset
    from .recipe import DataChoice, Recipe, Stage, load_recipe
    from .stages import TrainingResult, train
    from .trainer import SuperLinkTrainer

__all__ = [
    "DataChoice",
    "Recipe",
    "Stage",
    "StageDataset",
    "SuperLinkTrainer",
    "TrainingResult",
    "load_recipe",
    "train",
]

_MODULES = {
    "dataset": ("StageDataset",),
    "recipe": ("DataChoice", "Recipe", "Stage", "load_recipe"),
    "stages": ("TrainingResult", "train"),
    "trainer": ("SuperLinkTrainer",),
}
__getattr__, __dir__ = lazy_names(__name__, _MODULES)
