"""The folder of a run: its recipe, its model, its logs, and the rows that it began with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ...checkpoint import UNREADABLE, read_tensors
from ...errors import InputError
from ...training import Recipe, Stage, load_recipe
from ...training.checkpoints import newest_whole, saved_checkpoints, step_of
from ...training.parameters import learning_rate_of
from ...training.run_folder import RECIPE, RunFolder

__all__ = ["ROWS", "Run", "StageLog", "find_run"]

ROWS = "queries.tokens"
"""The rows of the control tokens, as recipes and checkpoints name them."""
_LEVELS = 3
"""How deep below the folder of a run its checkpoints lie."""


@dataclass(frozen=True)
class StageLog:
    """What one stage logged."""

    stage: Stage
    """The stage."""
    history: tuple[Mapping[str, Any], ...]
    """Its entries; up to the last checkpoint where it is not finished."""
    finished: bool
    """Whether it is."""
    totals: Mapping[str, float]
    """Figures of the whole stage, as `dropped`."""
    stopped: str = ""
    """Why it ended before its end, where it did so by itself."""


@dataclass(frozen=True)
class Run:
    """What `superlink train` left in a folder."""

    folder: Path
    """The folder."""
    recipe: Recipe
    """What was trained."""
    model: Path
    """The checkpoint to look at: the trained model, or the newest there is."""

    def logs(self) -> Iterator[StageLog]:
        """What each stage that was begun has logged."""
        run = RunFolder(self.folder, self.recipe)
        for index, (stage, folder) in enumerate(zip(self.recipe.stages, run.stages, strict=True)):
            if run.is_logged(index):
                log = run.read_log(index)
                totals = {k: v for k, v in log.items() if isinstance(v, int | float)}
                yield StageLog(stage, tuple(log["history"]), True, totals)
            elif folder.is_dir():
                newest = newest_whole(folder)
                state = {} if newest is None else _read(newest / "trainer_state.json")
                reason = folder / "stopped" / "reason.json"
                stopped = str(_read(reason).get("reason", "")) if reason.is_file() else ""
                yield StageLog(stage, tuple(state.get("log_history", ())), False, {}, stopped)

    def first_rows(self) -> dict[str, Tensor] | None:
        """The rows of the first checkpoint that is still there, where they were trained after it.

        Returns:
            `tokens`, and `token_outputs` where the tables are not tied.
        """
        folders = RunFolder(self.folder, self.recipe).stages
        for index, (stage, folder) in enumerate(zip(self.recipe.stages, folders, strict=True)):
            later = self.recipe.stages[index:]
            for checkpoint in saved_checkpoints(folder):
                early = checkpoint != self.model and step_of(checkpoint) < stage.steps
                if early and any(learning_rate_of(ROWS, s) > 0 for s in later):
                    return _rows(checkpoint)
        return None


def find_run(path: Path) -> Run | None:
    """The run that a folder is, or whose checkpoint it is; None for a model by itself.

    Raises:
        InputError: It is neither, or a run that has written no model yet.
    """
    path = path.resolve()
    if (path / RECIPE).is_file():
        recipe = load_recipe(path / RECIPE)
        return Run(path, recipe, _newest_model(RunFolder(path, recipe)))
    if not (path / "config.json").is_file():
        raise InputError(
            f"Expected a checkpoint folder, or the folder of a run. Received: {path}, which has "
            "neither config.json nor recipe.json."
        )
    for folder in [*path.parents][:_LEVELS]:
        if (folder / RECIPE).is_file():
            return Run(folder, load_recipe(folder / RECIPE), path)
    return None


def _newest_model(run: RunFolder) -> Path:
    found = [run.model]
    for stage in reversed(run.stages):
        found += [stage / "model", *filter(None, [newest_whole(stage)]), stage / "stopped"]
    for path in found:
        if (path / "config.json").is_file():
            return path
    if run.lock.is_taken():
        raise InputError(
            f"The run in {run.path} has written no model yet. Wait for its first checkpoint "
            "(`save_steps` of a stage), or for the end of a stage."
        )
    raise InputError(
        f"The run in {run.path} has ended without a model, and no process trains there. What it "
        "printed last says why. The same `superlink train` goes on with it; a stage writes its "
        "first checkpoint after `save_steps`."
    )


def _rows(checkpoint: Path) -> dict[str, Tensor] | None:
    try:
        tensors = read_tensors(checkpoint / "links.safetensors")
    except (OSError, *UNREADABLE):
        return None
    wanted = ("tokens", "token_outputs")
    return {key: tensors[f"queries.{key}"] for key in wanted if f"queries.{key}" in tensors}


def _read(path: Path) -> dict[str, Any]:
    try:
        read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"Expected the state of a stage as JSON. Received: {path}: {error}"
        ) from error
    return read
