"""The folder of a run: whose it is, which stages are finished, what they logged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..errors import CheckpointError, InputError, TrainingError
from .changes import changes
from .lock import RunLock
from .recipe import Recipe

__all__ = ["RECIPE", "RunFolder"]

RECIPE = "recipe.json"
"""The recipe of a run, in its folder."""
_LOG = "log.json"


class RunFolder:
    """Where a recipe is run.

    Args:
        path: The folder; it need not be there yet.
        recipe: What is run in it.

    Raises:
        InputError: It holds the run of another recipe.
    """

    def __init__(self, path: Path, recipe: Recipe) -> None:
        self.path, self.recipe = path, recipe
        stages = enumerate(recipe.stages)
        self.stages = tuple(path / "stages" / f"{i}-{stage.name}" for i, stage in stages)
        """The folder of each stage."""
        self.model = path / "model"
        """Where the trained model goes."""
        self.lock = RunLock(path)
        """Whether a process trains here."""
        self._check()

    def _check(self) -> None:
        """Raise where the recipe of the run is another one, its order of data sets included; a
        field that it lacks, as an older superlink wrote it, has its default."""
        path = self.path / RECIPE
        if not path.is_file():
            return
        try:
            theirs = Recipe.model_validate_json(path.read_bytes())
        except ValidationError:
            told = "it is none that this superlink reads"
        else:
            # As it comes back from its file.
            ours = Recipe.model_validate_json(self.recipe.model_dump_json())
            if theirs.model_dump_json() == ours.model_dump_json():
                return
            found = changes(theirs.model_dump(mode="json"), ours.model_dump(mode="json"))
            told = found or "its data sets were in another order"
        longer = (
            f" To train its model further, begin a run of its own from it: --set start={self.model}"
            if (self.model / "config.json").is_file()
            else ""
        )
        raise InputError(
            f"{self.path} holds the run of another recipe, or of this one before it was changed: "
            f"{told}. Give the recipe as it was to go on with that run, choose another --output, "
            f"or remove the folder.{longer}"
        )

    def claim(self, *, make: bool = True) -> None:
        """Let this process alone train here, and write the recipe into a new run.

        Args:
            make: Whether a folder that is not there is made; otherwise nothing is done.

        Raises:
            InputError: The folder cannot be written to, or has become another run.
            TrainingError: Another process trains here.
        """
        if not make and not self.path.is_dir():
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if not self.lock.take():
                raise TrainingError(
                    f"Another process trains in {self.path}. Wait for it, or end it to go on from "
                    "its last checkpoint; or choose another --output."
                )
            self._check()  # the one before may have come in between
            if make and not (self.path / RECIPE).is_file():
                _write(self.path / RECIPE, self.recipe.model_dump_json(indent=2))
        except OSError as error:
            raise InputError(
                f"Expected a folder that can be written to. Received: {self.path} "
                f"({error.strerror})"
            ) from error

    def is_finished(self, index: int) -> bool:
        """Whether a stage was run to its end."""
        return (self.stages[index] / "model" / "config.json").is_file()

    def is_logged(self, index: int) -> bool:
        """Whether a stage has trained all its steps."""
        return (self.stages[index] / _LOG).is_file()

    def write_log(self, index: int, log: Mapping[str, Any]) -> None:
        """Keep what a stage logged."""
        _write(self.stages[index] / _LOG, json.dumps(log, indent=1))

    def read_logs(self) -> list[dict[str, Any]]:
        """What each stage logged.

        Raises:
            CheckpointError: The log of a finished stage is missing.
        """
        return [self.read_log(index) for index in range(len(self.stages))]

    def read_log(self, index: int) -> dict[str, Any]:
        """What a finished stage logged.

        Raises:
            CheckpointError: Its log is missing, or holds something else.
        """
        path = self.stages[index] / _LOG
        try:
            log: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"Expected {path}, the log of a finished stage. Received: {error}. Remove the "
                f"folder {path.parent} and those of later stages, and run again."
            ) from error
        return log


def _write(path: Path, text: str) -> None:
    """Write a file, whole or not at all."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
