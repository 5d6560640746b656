"""How replies are measured."""

from ..tasks.chunks import Chunks
from .cards import ResultCard
from .counting import CountingEvaluator
from .detection import DetectionEvaluator
from .evaluator import Evaluator, Row
from .grounding import GroundingEvaluator
from .processes import Processes, started_processes
from .runner import Evaluation, evaluate, question
from .salience import SalienceEvaluator
from .samples import TaskSamples
from .semantic import SemanticEvaluator

__all__ = [
    "Chunks",
    "CountingEvaluator",
    "DetectionEvaluator",
    "Evaluation",
    "Evaluator",
    "GroundingEvaluator",
    "Processes",
    "ResultCard",
    "Row",
    "SalienceEvaluator",
    "SemanticEvaluator",
    "TaskSamples",
    "evaluate",
    "question",
    "started_processes",
]
