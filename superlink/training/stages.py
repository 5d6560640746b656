"""Run a recipe, stage after stage, and go on where an earlier run was stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
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
from .dataset import Conversation, StageDataset, open_data
from .mixture import Mixture
from .parameters import freeze
from .recipe import Recipe, Stage
from .starting import start_from
from .trainer import SuperLinkTrainer, stage_arguments

__all__ = ["TrainingResult", "train"]

Sources = Mapping[str, tuple[Sequence[Any], Conversation]]
"""Opened data sets by their names in the recipe."""


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
    half: bool = False,
    registry: Registry | None = None,
    progress: bool = True,
) -> TrainingResult:
    """Train a recipe; the model ends up in `output`/model.

    A stage that was finished before is not run again, and one that was stopped goes on from its
    last whole checkpoint. All data sets are opened, and so checked, before anything is written.

    Args:
        recipe: What to do.
        output: Folder of the run; made where it is missing.
        half: Whether the trained model is stored in 16 bits, see `superlink.checkpoint.save`.
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
    _refuse_another(output, recipe)
    folders = [output / "stages" / f"{i}-{stage.name}" for i, stage in enumerate(recipe.stages)]
    sources = _open_sources(recipe, folders, registry)
    set_seed(recipe.seed)
    model = build_model(recipe.model, registry)
    if recipe.start is not None and not any(map(_is_finished, folders)):
        start_from(model, recipe.start, recipe.start_parts, registry)
    _claim(output, recipe)
    fixed = frozenset(name for name, p in model.named_parameters() if not p.requires_grad)
    for index, folder in enumerate(folders):
        if _is_finished(folder):
            restore(model, folder / "model", registry)
            continue
        _run_stage(model, recipe, index, folder, fixed, sources, registry, progress=progress)
    save(model, output / "model", half=half)
    history, minutes = _read_logs(output, recipe)
    return TrainingResult(model.eval(), output / "model", history, minutes)


def _run_stage(
    model: SuperLinkModel,
    recipe: Recipe,
    index: int,
    folder: Path,
    fixed: frozenset[str],
    sources: Sources,
    registry: Registry,
    *,
    progress: bool,
) -> None:
    stage, seed = recipe.stages[index], recipe.seed * 1000 + index
    arguments = stage_arguments(stage, folder, seed)
    per_step = stage.batch_size * stage.gradient_accumulation
    dataset = _dataset(sources, stage, stage.steps * per_step, seed)
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


def _dataset(sources: Sources, stage: Stage, num_samples: int, seed: int) -> StageDataset | Mixture:
    chosen = [sources[name] for name in stage.weights]
    if len(chosen) == 1:
        return StageDataset(*chosen[0], num_samples, seed)
    return Mixture(chosen, list(stage.weights.values()), num_samples, seed)


def _open_sources(recipe: Recipe, folders: Sequence[Path], registry: Registry) -> Sources:
    """The data sets of all stages that are not finished, each opened once."""
    stages = zip(recipe.stages, folders, strict=True)
    names = [name for stage, path in stages if not _is_finished(path) for name in stage.weights]
    return {name: open_data(recipe.data[name], registry) for name in dict.fromkeys(names)}


def _is_finished(folder: Path) -> bool:
    return (folder / "model" / "config.json").is_file()


def _refuse_another(output: Path, recipe: Recipe) -> None:
    """Raise where a folder holds the run of another recipe."""
    path = output / "recipe.json"
    if path.is_file() and path.read_text(encoding="utf-8") != recipe.model_dump_json(indent=2):
        raise InputError(
            f"{output} holds the run of another recipe, or of this one before it was changed. "
            "Choose another --output, or remove the folder."
        )


def _claim(output: Path, recipe: Recipe) -> None:
    """Write the recipe into a new run."""
    path = output / "recipe.json"
    if path.is_file():
        return
    text = recipe.model_dump_json(indent=2)
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
