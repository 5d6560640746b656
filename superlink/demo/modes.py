"""The modes of the shipped models: what each is asked on built-in scenes, and what is measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from ..data.scenes.drawings import DrawingSet
from ..evaluation import Evaluator
from ..evaluation.samples import TaskSamples
from ..model import Routing
from ..registry import default_registry
from ..training import DataChoice
from ..training.dataset import open_data

__all__ = ["MODES", "POSE_MODES", "REGION_MODES", "Mode"]


@dataclass(frozen=True)
class Mode:
    """A task on the built-in scenes."""

    title: str
    """What the report calls it."""
    task: str
    """Name of the task."""
    metrics: tuple[str, ...]
    """The metrics of its evaluator that the card tells."""
    conversation: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of its conversation."""
    format: str = "scenes"
    """What is read."""
    best: bool = False
    """Whether of each route the best instance alone is shown."""
    routings: tuple[Routing, ...] = ("generated", "forced")
    """How it is measured; where the answer is all that there is, it cannot be given."""
    drawings: tuple[DrawingSet, ...] = get_args(DrawingSet)
    """The drawings of the scenes."""

    def samples(self, num_scenes: int, drawings: DrawingSet = "seen") -> TaskSamples:
        """Validation scenes as questions with answers."""
        options = {"split": "val", "drawings": drawings, "num_scenes": num_scenes}
        choice = DataChoice(
            task=self.task,
            format=self.format,
            options=options,
            conversation=dict(self.conversation),
        )
        return TaskSamples(*open_data(choice, default_registry()))

    def validation(self, num_scenes: int) -> Iterator[tuple[str, TaskSamples]]:
        """The suffix of metrics, and the scenes that they are of: `samples` of each drawings."""
        for drawings in self.drawings:
            suffix = "" if drawings == "seen" else f"/{drawings}_drawings"
            yield suffix, self.samples(num_scenes, drawings)

    def evaluator(self) -> Evaluator:
        """What measures it."""
        registry = default_registry()
        path = registry.task(self.task).evaluator
        evaluator: Evaluator = registry.load("task", self.task, str(path))()
        return evaluator


MODES = (
    Mode(
        "Find classes: boxes and masks",
        "detection",
        ("box_AP50", "mask_AP50", "list_exact"),
        {"masks": True},
    ),
    Mode(
        "Find what an expression means",
        "grounding",
        ("P@0.5", "gIoU", "no_target_accuracy"),
        {"restate": True},
        best=True,
    ),
    Mode("Count", "counting", ("MAE", "exact")),
    Mode("Segment a picture into its regions", "semantic_segmentation", ("mIoU",)),
    Mode("Describe a picture, with boxes behind the words", "grounded_caption", ("box_AP50",)),
)
"""All that the shipped model was trained for."""

REGION_MODES = (
    Mode(
        "Segment what is marked",
        "interactive_segmentation",
        ("mIoU", "mIoU/point", "mIoU/scribble", "mIoU/box", "mIoU/mask", "cIoU"),
        {"prompts": ["point", "scribble", "box", "mask"], "named": True, "max_regions": 1},
        format="placed_scenes",
        best=True,
    ),
    Mode("Name what is marked", "region_recognition", ("accuracy",), routings=("generated",)),
    Mode(
        "Describe a picture, and see it at 64 tokens",
        "grounded_caption",
        ("objects_exact", "objects_recall", "objects_precision", "box_AP50"),
        routings=("generated",),
    ),
)
"""What the shipped model that takes regions was trained for."""

POSE_MODES = (
    Mode(
        "Find people and horses with their keypoints",
        "pose",
        ("OKS_AP50", "OKS_AP", "PCK@0.1", "PCK@0.2", "box_AP50", "absent_rate", "list_exact"),
        drawings=("seen",),
    ),
    Mode(
        "Find some keypoints",
        "pose",
        (),
        {"keypoints": ["nose", "left knee", "right knee"], "absent_classes": 0},
        drawings=("seen",),
        routings=(),
    ),
)
"""What the shipped model that finds keypoints was trained for."""
