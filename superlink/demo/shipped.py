"""The models that superlink ships: a tiny LLM and a detector, for all modes of perception; one that
takes regions, and one that finds keypoints."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from PIL import Image

from ..checkpoint import write_folder
from ..data.scenes.photos import PHOTOS
from ..evaluation import ResultCard, evaluate, question
from ..interfaces import Region, Reply
from ..model import SuperLinkModel
from .modes import Mode

__all__ = [
    "MODEL",
    "PHOTOGRAPHS",
    "POSES",
    "REGIONS",
    "Measured",
    "Shown",
    "copy_model",
    "measure_modes",
    "show_mode",
    "show_modes",
    "show_photos",
    "trained_minutes",
]

MODEL = Path(str(files(__package__).joinpath("model")))
"""The checkpoint; `superlink.load` takes it."""
REGIONS = MODEL.with_name("regions")
"""The checkpoint of the model that takes regions."""
POSES = MODEL.with_name("poses")
"""The checkpoint of the model that finds keypoints."""
PHOTOGRAPHS = "Photographs as they are"
"""The heading of what has nothing pasted in."""
_NUM_SHOWN = 4
_MAX_NEW_TOKENS = 512
"""Room for all keypoints of two classes."""
_ASKED_OF_PHOTOS = "Find: person, cat, ball, boat"


@dataclass(frozen=True)
class Shown:
    """A question with its picture and reply."""

    group: str
    """The heading that it stands under."""
    question: str
    """What was asked."""
    image: Image.Image
    """What it was asked about."""
    regions: tuple[Region, ...]
    """What was marked in it."""
    reply: Reply
    """What came back."""


@dataclass(frozen=True)
class Measured:
    """A shipped model, and what it does here."""

    folder: str
    """The folder that it comes in."""
    modes: tuple[Mode, ...]
    """What it was trained for."""
    model: SuperLinkModel
    """The model."""
    card: ResultCard
    """What it is worth."""
    shown: list[Shown]
    """What it answers."""


def trained_minutes(source: Path) -> float:
    """The CPU-minutes in which a shipped model was trained."""
    training = source.with_name(f"{source.name}_training.json")
    return float(json.loads(training.read_text(encoding="utf-8"))["cpu_minutes"])


def copy_model(source: Path, output: Path) -> Path:
    """Put a shipped model where its user can see it; an older copy is replaced."""
    folder = output / "model"
    with write_folder(folder) as fresh:
        shutil.copytree(source, fresh, dirs_exist_ok=True)
    return folder


def measure_modes(
    model: SuperLinkModel, modes: Sequence[Mode], num_scenes: int, *, progress: bool
) -> dict[str, float]:
    """`task/metric/routing` to value, with `/held_out_drawings` where training showed none of the
    drawings."""
    metrics: dict[str, float] = {}
    for mode in modes:
        for suffix, samples in mode.validation(num_scenes):
            for routing in mode.routings:
                found = evaluate(model, samples, mode.evaluator(), routing, progress=progress)
                for name in mode.metrics:
                    if name in found.metrics:
                        key = f"{mode.task}/{name}/{routing}{suffix}"
                        metrics[key] = found.metrics[name]
    return metrics


def show_modes(model: SuperLinkModel, modes: Sequence[Mode]) -> list[Shown]:
    """A few questions of each mode, and what the model says."""
    return [shown for mode in modes for shown in show_mode(model, mode, _NUM_SHOWN)]


def show_mode(model: SuperLinkModel, mode: Mode, num: int) -> list[Shown]:
    """The first questions of one mode, and what the model says."""
    samples = list(mode.samples(num))
    questions = [question(sample) for sample in samples]
    replies = model.answer(questions, max_new_tokens=_MAX_NEW_TOKENS)
    return [
        Shown(
            mode.title,
            one.messages[0].text_with(""),
            one.images[0],
            one.regions,
            reply.best() if mode.best else reply,
        )
        for one, reply in zip(samples, replies, strict=True)
    ]


def show_photos(model: SuperLinkModel) -> list[Shown]:
    """Plain photographs that training never saw, with nothing pasted in."""
    photos = [photo.load() for photo in PHOTOS if photo.split == "val"][:_NUM_SHOWN]
    return [
        Shown(PHOTOGRAPHS, _ASKED_OF_PHOTOS, photo, (), model.predict(_ASKED_OF_PHOTOS, photo))
        for photo in photos
    ]
