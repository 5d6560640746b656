"""Run a recipe, stage after stage, and go on where an earlier run was stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers.trainer_utils import set_seed
from transformers.utils.import_utils import is_accelerate_available

from ..build import build_model, restore
from ..checkpoint import save
from ..errors import CheckpointError, InputError, MissingDependencyError
from ..model import SuperLinkModel
from ..registry import Registry, default_registry
from .dataset import StageDataset, open_data
from .mixture import Mixture
from .parameters import freeze
from .recipe import Recipe, Stage
from .trainer import SuperLinkTrainer, stage_arguments

__all__ = ["TrainingResult", "train"]


@dataclass(frozen=True)
class TrainingResult:
    """What a run gave."""

    model: SuperLinkModel
    """The trained model."""
    folder: Path
    """Its checkpoint."""
    history: tuple[Mapping[str, Any], ...]
    """What was logged, with the name of its stage."""
    cpu_minutes: float
    """Processor time of training, all threads together; what a kill threw away does not count."""


def train(
    recipe: Recipe,
    output: str | Path,
    *,
    registry: Registry | None = None,
    progress: bool = True,
) -> TrainingResult:
    """Train a recipe; the model ends up in `output`/model.

    A stage that was finished before is not run again, and one that was stopped goes on from its
    last whole checkpoint.

    Args:
        recipe: What to do.
        output: Folder of the run; made where it is missing.
        registry: Where names are looked up; None takes everything that is installed.
        progress: Whether to show a bar.

    Raises:
        InputError: `output` holds the run of another recipe.
        MissingDependencyError: accelerate is not installed.
    """
    if not is_accelerate_available():
        raise MissingDependencyError(
            "Training needs accelerate, which is not installed. Run: pip install 'superlink[train]'"
        )
    output = Path(output)
    registry = registry or default_registry()
    _claim(output, recipe)
    set_seed(recipe.seed)
    model = build_model(recipe.model, registry)
    fixed = frozenset(name for name, p in model.named_parameters() if not p.requires_grad)
    for index, stage in enumerate(recipe.stages):
        folder = output / "stages" / f"{index}-{stage.name}"
        if (folder / "model" / "config.json").is_file():
            restore(model, folder / "model", registry)
            continue
        _run_stage(model, recipe, index, folder, fixed, registry, progress=progress)
    save(model, output / "model")
    history, minutes = _read_logs(output, recipe)
    return TrainingResult(model.eval(), output / "model", history, minutes)


def _run_stage(
    model: SuperLinkModel,
    recipe: Recipe,
    index: int,
    folder: Path,
    fixed: frozenset[str],
    registry: Registry,
    *,
    progress: bool,
) -> None:
    stage, seed = recipe.stages[index], recipe.seed * 1000 + index
    arguments = stage_arguments(stage, folder, seed)
    per_step = stage.batch_size * stage.gradient_accumulation
    dataset = _dataset(recipe, stage, stage.steps * per_step, seed, registry)
    freeze(model, stage, fixed)
    model.stop_gradient, model.lm_weight = stage.stop_gradient, stage.lm_weight
    trainer = SuperLinkTrainer(
        model, arguments, stage, dataset, registry=registry, progress=progress
    )
    trainer.run(_last_checkpoint(folder))
    if trainer.average is not None:
        trainer.average.apply()
    model.stop_gradient, model.lm_weight = False, 1.0
    history = [{**entry, "stage": stage.name} for entry in trainer.state.log_history]
    log = {
        "history": history,
        "cpu_minutes": trainer.cpu_seconds / 60,
        "dropped": trainer.num_dropped,
    }
    (folder / "log.json").write_text(json.dumps(log, indent=1), encoding="utf-8")
    save(model, folder / "model")


def _dataset(
    recipe: Recipe, stage: Stage, num_samples: int, seed: int, registry: Registry
) -> StageDataset | Mixture:
    sources = [open_data(recipe.data[name], registry) for name in stage.weights]
    if len(sources) == 1:
        return StageDataset(*sources[0], num_samples, seed)
    return Mixture(sources, list(stage.weights.values()), num_samples, seed)


def _claim(output: Path, recipe: Recipe) -> None:
    """Write the recipe into a new run; refuse to mix two recipes in one folder."""
    path = output / "recipe.json"
    text = recipe.model_dump_json(indent=2)
    if path.is_file():
        if path.read_text(encoding="utf-8") != text:
            raise InputError(
                f"{output} holds the run of another recipe, or of this one before it was changed. "
                "Choose another --output, or remove the folder."
            )
        return
    try:
        output.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        raise InputError(
            f"Expected a folder that can be written to. Received: {output} ({error.strerror})"
        ) from error


def _last_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint that was written to its end."""
    found = [path for path in folder.glob("checkpoint-*") if _is_whole(path)]
    newest = max(found, key=lambda path: int(path.name.split("-")[1]), default=None)
    return None if newest is None else str(newest)


def _is_whole(checkpoint: Path) -> bool:
    """Whether its last file is there, and is whole."""
    try:
        json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True


def _read_logs(output: Path, recipe: Recipe) -> tuple[tuple[Mapping[str, Any], ...], float]:
    history: list[Mapping[str, Any]] = []
    minutes = 0.0
    for index, stage in enumerate(recipe.stages):
        path = output / "stages" / f"{index}-{stage.name}" / "log.json"
        if not path.is_file():
            raise CheckpointError(f"Expected {path} of a finished stage. It is missing.")
        log = json.loads(path.read_text(encoding="utf-8"))
        history += log["history"]
        minutes += log["cpu_minutes"]
    return tuple(history), minutes
