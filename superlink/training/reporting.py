"""Loggers beside the log of a run: TensorBoard, and all others that the Trainer reports to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from transformers import Trainer
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK, TensorBoardCallback

from ..errors import ConfigError, MissingDependencyError
from ..registry.suggestions import suggest

__all__ = ["check_loggers", "set_log_folder"]


def check_loggers(names: Sequence[str]) -> list[str]:
    """The names for `TrainingArguments.report_to`.

    Raises:
        ConfigError: transformers knows no such logger.
        MissingDependencyError: The package of a logger is not installed.
    """
    for name in names:
        if name not in INTEGRATION_TO_CALLBACK:
            raise ConfigError(
                f"There is no logger {name!r}. {suggest(name, INTEGRATION_TO_CALLBACK)}"
            )
        try:
            INTEGRATION_TO_CALLBACK[name]()
        except (ImportError, RuntimeError) as error:
            cure = "Run: pip install 'superlink[log]'" if name == "tensorboard" else str(error)
            raise MissingDependencyError(
                f"Reporting to {name} needs a package that is not installed. {cure}"
            ) from error
    return list(names)


def set_log_folder(trainer: Trainer, folder: Path) -> None:
    """Let TensorBoard write to one folder, so that a stage that goes on continues its curves; the
    variable TENSORBOARD_LOGGING_DIR comes first."""
    for callback in trainer.callback_handler.callbacks:
        if isinstance(callback, TensorBoardCallback) and callback.logging_dir is None:
            callback.logging_dir = str(folder)
