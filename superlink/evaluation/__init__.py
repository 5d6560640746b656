"""How replies are measured."""

from ..tasks.chunks import Chunks
from .answering import Reconstructing
from .captions import CaptionEvaluator
from .cards import ResultCard
from .counting import CountingEvaluator
from .detection import DetectionEvaluator
from .editing import EditingEvaluator
from .evaluator import Evaluator, Row
from .generation import GenerationEvaluator
from .geneval import draw_prompts, read_prompts
from .grounding import GroundingEvaluator
from .in_context import InContextEvaluator
from .interactive import InteractiveEvaluator
from .pose import PoseEvaluator
from .processes import Processes, started_processes
from .recognition import RecognitionEvaluator
from .region_captions import RegionCaptionEvaluator
from .region_qa import RegionQaEvaluator
from .runner import Evaluation, evaluate, question
from .salience import SalienceEvaluator
from .samples import TaskSamples
from .semantic import SemanticEvaluator

__all__ = [
    "CaptionEvaluator",
    "Chunks",
    "CountingEvaluator",
    "DetectionEvaluator",
    "EditingEvaluator",
    "Evaluation",
    "Evaluator",
    "GenerationEvaluator",
    "GroundingEvaluator",
    "InContextEvaluator",
    "InteractiveEvaluator",
    "PoseEvaluator",
    "Processes",
    "RecognitionEvaluator",
    "Reconstructing",
    "RegionCaptionEvaluator",
    "RegionQaEvaluator",
    "ResultCard",
    "Row",
    "SalienceEvaluator",
    "SemanticEvaluator",
    "TaskSamples",
    "draw_prompts",
    "evaluate",
    "question",
    "read_prompts",
    "started_processes",
]
