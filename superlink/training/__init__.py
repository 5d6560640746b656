"""Training: recipes, stages, and transformers' Trainer underneath.

Names are imported when they are first used: the Trainer takes its time, and a recipe needs none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from .dataset import StageDataset
    from .loading import load_recipe
    from .recipe import DataChoice, Recipe, Stage
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
    "loading": ("load_recipe",),
    "recipe": ("DataChoice", "Recipe", "Stage"),
    "stages": ("TrainingResult", "train"),
    "trainer": ("SuperLinkTrainer",),
}
__getattr__, __dir__ = lazy_names(__name__, _MODULES)
