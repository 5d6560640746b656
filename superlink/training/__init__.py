"""Training: recipes, stages, and transformers' Trainer underneath."""

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
