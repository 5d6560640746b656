"""How replies are measured."""

from .card import ResultCard
from .detection import DetectionEvaluator
from .evaluator import Evaluator
from .runner import evaluate

__all__ = ["DetectionEvaluator", "Evaluator", "ResultCard", "evaluate"]
