"""How replies are measured."""

from .card import ResultCard
from .detection import DetectionEvaluator
from .evaluator import Evaluator, Row
from .processes import Processes, started_processes
from .runner import Evaluation, evaluate, question

__all__ = [
    "DetectionEvaluator",
    "Evaluation",
    "Evaluator",
    "Processes",
    "ResultCard",
    "Row",
    "evaluate",
    "question",
    "started_processes",
]
