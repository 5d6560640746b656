"""Ablations: variants of a recipe, several seeds each, measured and held against claims."""

from .experiment import Claim, Experiment, Measurement, load_experiment
from .running import ablate

__all__ = ["Claim", "Experiment", "Measurement", "ablate", "load_experiment"]
