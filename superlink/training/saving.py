"""Checkpoints of a stage, in our format, in place of the Trainer's: whole or not there at all."""

from __future__ import annotations

import logging
import shutil
from abc import abstractmethod
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import Trainer
from transformers.trainer import SCHEDULER_NAME

from ..checkpoint import save, write_tensors
from ..model import SuperLinkModel
from .checkpoints import publish, remove_old
from .processes import WRITE_ERRORS, everywhere, first_does, is_first, whole_weights

__all__ = ["EXTRAS", "SavingTrainer"]

_LOG = logging.getLogger(__name__)
EXTRAS = "stage.safetensors"
"""What a stage needs beside the model to go on: the moving average, the naming head, counters."""
_KEPT_CHECKPOINTS = 2


class SavingTrainer(Trainer):
    """A Trainer that writes checkpoints of a linked model; every process takes part."""

    linked: SuperLinkModel
    """What is saved."""
    _writing: Path | None = None

    @abstractmethod
    def extras(self) -> dict[str, Tensor]:
        """What a stage needs beside the model to go on."""

    @abstractmethod
    def before_saving(self) -> None:
        """Look at all processes, before the first one writes."""

    def _get_output_dir(self, trial: Any = None) -> str:
        """Where a checkpoint is written to: beside its place until it is whole."""
        return str(self._writing or self.args.output_dir)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Write a checkpoint as a whole or not at all; a full disk does not end the run."""
        folder = Path(str(self.args.output_dir))
        name, problem = f"checkpoint-{self.state.global_step}", ""
        self._writing = fresh = folder / ".writing"
        self.before_saving()
        if is_first():
            shutil.rmtree(fresh, ignore_errors=True)
        everywhere(None)
        try:
            super()._save_checkpoint(model, trial)
        except WRITE_ERRORS as error:
            problem = str(error)
        self._writing = None
        problem = next(filter(None, everywhere(problem)), "")
        if is_first() and not problem:
            problem = publish(fresh / name, folder / name)
            remove_old(folder, _KEPT_CHECKPOINTS)
        if is_first():
            shutil.rmtree(fresh, ignore_errors=True)
        if problem:
            _LOG.warning(
                "The checkpoint of step %s could not be written to %s: %s. Training goes on; a "
                "restart would begin at the checkpoint before it. Make room on the disk.",
                self.state.global_step,
                folder,
                problem,
            )

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write our checkpoint folder in place of the Trainer's."""
        folder = Path(output_dir or str(self.args.output_dir))
        self.write_model(folder)
        extras = self.extras()
        first_does(lambda: write_tensors(extras, folder / EXTRAS))

    def write_model(self, folder: Path) -> None:
        """Save the linked model, whatever an engine has made of it."""
        with whole_weights(self.linked):
            first_does(lambda: save(self.linked, folder))

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        """Leave out the second copy of the weights that the Trainer writes for FSDP: a pickle."""
        if not self.is_fsdp_enabled:
            super()._save_optimizer_and_scheduler(output_dir)
            return
        from accelerate.utils import save_fsdp_optimizer

        plugin = self.accelerator.state.fsdp_plugin
        save_fsdp_optimizer(plugin, self.accelerator, self.optimizer, self.model, output_dir)
        if is_first():
            scheduler = cast(Any, self.lr_scheduler)
            torch.save(scheduler.state_dict(), Path(output_dir) / SCHEDULER_NAME)

    def _load_from_checkpoint(
        self, resume_from_checkpoint: str, model: nn.Module | None = None
    ) -> None:
        """Nothing: `run` has read the model before any engine wrapped it."""
