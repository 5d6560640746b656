"""The modes of the shipped model: what each is asked on built-in scenes, and how it is measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from ..data.scenes.drawings import DrawingSet
from ..evaluation import Evaluator
from ..evaluation.samples import TaskSamples
from ..registry import default_registry
from ..training import DataChoice
from ..training.dataset import open_data

__all__ = ["MODES", "Mode"]


@dataclass(frozen=True)
class Mode:
    """A task on the built-in scenes."""

    title: str
    """What the report calls it."""
    task: str
    """Name of the task; its format `scenes` is read."""
    metrics: tuple[str, ...]
    """The metrics of its evaluator that the card tells."""
    conversation: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of its conversation."""
    best: bool = False
    """Whether of each route the best instance alone is shown."""

    def samples(self, num_scenes: int, drawings: DrawingSet = "seen") -> TaskSamples:
        """Validation scenes as questions with answers."""
        options = {"split": "val", "drawings": drawings, "num_scenes": num_scenes}
        choice = DataChoice(
            task=self.task, format="scenes", options=options, conversation=dict(self.conversation)
        )
        return TaskSamples(*open_data(choice, default_registry()))

    def validation(self, num_scenes: int) -> Iterator[tuple[str, TaskSamples]]:
        """The suffix of metrics, and the scenes that they are of: `samples` of each drawings."""
        for drawings in get_args(DrawingSet):
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
