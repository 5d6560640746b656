"""What superlink declares of its own tasks; all paths, so that nothing is loaded before its use."""

from __future__ import annotations

from ..interfaces import TaskSpec

__all__ = ["CLASS_LIST", "DETECTION"]

DETECTION = TaskSpec(
    "detection",
    conversation="superlink.tasks.detection:detection_conversation",
    readers={
        "coco": "superlink.data.readers.coco:read_coco",
        "scenes": "superlink.data.scenes:read_scenes",
    },
    evaluator="superlink.evaluation.detection:DetectionEvaluator",
)

CLASS_LIST = TaskSpec(
    "class_list",
    conversation="superlink.tasks.detection:class_list_conversation",
    readers={"names": "superlink.tasks.detection:read_names"},
)
