"""The folder of a run: whose it is, which stages are finished, what they logged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..errors import CheckpointError, InputError
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
        if (path / RECIPE).is_file() and not self._is_ours((path / RECIPE).read_bytes()):
            raise InputError(
                f"{path} holds the run of another recipe, or of this one before it was changed. "
                "Choose another --output, or remove the folder."
            )

    def _is_ours(self, text: bytes) -> bool:
        """Whether the recipe of a run is this one, its order of data sets included; a field that
        it lacks, as an older superlink wrote it, has its default."""
        try:
            theirs = Recipe.model_validate_json(text)
        except ValidationError:
            return False
        return theirs.model_dump_json() == self._plain().model_dump_json()

    def _plain(self) -> Recipe:
        """The recipe as it comes back from its file."""
        return Recipe.model_validate_json(self.recipe.model_dump_json())

    def claim(self) -> None:
        """Write the recipe into a new run.

        Raises:
            InputError: The folder cannot be written to.
        """
        path = self.path / RECIPE
        if path.is_file():
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            _write(path, self.recipe.model_dump_json(indent=2))
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
