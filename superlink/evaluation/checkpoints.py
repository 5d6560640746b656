"""Measuring checkpoints of one training: each once, with a card of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..build import load
from ..registry import default_registry
from ..training import DataChoice
from ..training.dataset import open_data
from .cards import ResultCard
from .detection import DetectionEvaluator
from .identity import folder_digest
from .samples import TaskSamples
from .session import Session

__all__ = ["SHOWN", "measure_detector", "with_suffix"]

SHOWN = ("box_AP50", "box_AP", "mask_AP50", "mask_AP", "list_exact")
"""The metrics of a detector that a comparison tells."""


def measure_detector(
    model: Path,
    choice: DataChoice,
    card: Path,
    *,
    command: str,
    name: str,
    limit: int | None = None,
    device: str = "cpu",
    progress: bool = True,
) -> ResultCard:
    """Measure a checkpoint with generated and forced routing; where its card is there, read it.

    Args:
        model: The checkpoint.
        choice: Annotated images, for the task `detection`.
        card: Folder of the card and its pictures; what a kill left behind there is gone on from.
        command: What the card gives as the way to make it again.
        name: What the card calls itself.
        limit: Images to take at most.
        device: Where to run, as torch names it.
        progress: Whether to show bars.
    """
    if (card / "card.json").is_file():
        return ResultCard.read(card / "card.json")
    samples = TaskSamples(*open_data(choice, default_registry()), limit)
    session = Session(
        load(model, device=device),
        name,
        choice,
        samples,
        DetectionEvaluator(),
        progress=progress,
    )
    found = session.measure(("generated", "forced"), card, folder_digest(model, without=card))
    return ResultCard.read(session.write_card(found, card, command, name=name))


def with_suffix(metrics: Mapping[str, float], suffix: str) -> dict[str, float]:
    """The metrics of `SHOWN`, with a suffix behind their names."""
    return {
        f"{name}/{suffix}": value for name, value in metrics.items() if name.split("/")[1] in SHOWN
    }
