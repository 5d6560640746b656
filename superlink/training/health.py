"""What ends a stage on all processes at once: a loss that is no number, too many bad samples."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import torch

from ..errors import CheckpointError, InputError, SuperLinkError, TrainingError
from ..interfaces import LossTerm, Sample
from ..linked import to_device
from ..linked.modes import untouched
from .monitor import part_norms
from .processes import first_does, is_cut, num_processes

if TYPE_CHECKING:
    from .trainer import SuperLinkTrainer

__all__ = ["Health"]

_LOG = logging.getLogger(__name__)
_FOLDER = "stopped"


class Health:
    """Watches over a stage.

    Args:
        trainer: Trains the stage.
    """

    def __init__(self, trainer: SuperLinkTrainer) -> None:
        self.trainer = trainer

    def broken(self, losses: Mapping[str, LossTerm], forward: int) -> str:
        """Which losses of a forward are no finite numbers, and because of which samples."""
        values = torch.stack([value.detach().float() for value, _ in losses.values()])
        finite = values.isfinite().tolist()
        names = [name for name, fine in zip(losses, finite, strict=True) if not fine]
        if not names:
            return ""
        return f"{', '.join(names)}; {self._guilty(names, forward)}"

    def check(self, broken: Sequence[str]) -> None:
        """Stop where a process has found a loss that is no number.

        Raises:
            TrainingError: One has. The model of then is saved.
        """
        if found := [each for each in broken if each]:
            self._stop(f"These losses are not finite: {found[0]}")

    def check_gradient(self, norm: object) -> None:
        """Stop where the norm of the gradient is no number.

        Raises:
            TrainingError: It is not. The model of then is saved.
        """
        if norm is None or math.isfinite(float(norm)):  # type: ignore[arg-type]
            return
        norms = part_norms(self.trainer.linked)
        parts = [name for name, value in norms.items() if not math.isfinite(value)]
        self._stop(f"The losses are finite, and the gradient of {', '.join(parts)} is not")

    def pass_over(self, messages: Sequence[str], number: int) -> int:
        """Tell of bad samples, and count them.

        Args:
            messages: Those of this process.
            number: How many all processes have found.

        Returns:
            How many the stage has passed over so far.

        Raises:
            InputError: They are more than the stage allows.
        """
        for message in messages:
            _LOG.warning("A sample is passed over. %s", message)
        total, most = self.trainer.num_bad + number, self.trainer.stage.max_bad_samples
        if total > most:
            last = f" The last one: {messages[-1]}" if messages else ""
            raise InputError(
                f"Stage {self.trainer.stage.name!r} passes over {most} bad samples at most. "
                f"Received: {total}.{last} Mend the data (superlink data validate), or raise "
                "max_bad_samples."
            )
        return total

    def _guilty(self, names: Sequence[str], forward: int) -> str:
        """The samples of a forward that give such losses when they are alone."""
        trainer = self.trainer
        if is_cut(trainer.linked):
            return "samples cannot be tried alone where weights are cut in pieces"
        size = trainer.args.per_device_train_batch_size
        per_step = trainer.args.gradient_accumulation_steps
        number = trainer.state.global_step * per_step + forward
        first = (number * num_processes() + trainer.args.process_index) * size
        found = [trainer.samples[first + i] for i in range(size)]
        samples = [sample for sample in found if isinstance(sample, Sample)]
        keys = [self._key_if_broken(sample) for sample in samples]
        if guilty := [key for key in keys if key]:
            return f"samples {', '.join(guilty)}"
        return f"no sample alone, all of {', '.join(sample.key for sample in samples)} together"

    def _key_if_broken(self, sample: Sample) -> str:
        trainer = self.trainer
        device = trainer.linked.device
        try:
            batch = to_device(dict(trainer.collator([sample])), device)
            with untouched(trainer.linked, device):
                losses = trainer.linked(**batch).losses
        except SuperLinkError as error:
            return f"({error})"
        bad = any(not value.isfinite().all() for value, _ in losses.values())
        return repr(sample.key) if bad else ""

    def _stop(self, what: str) -> NoReturn:
        trainer = self.trainer
        step = trainer.state.global_step
        folder = Path(str(trainer.args.output_dir)) / _FOLDER
        report = {"stage": trainer.stage.name, "step": step, "reason": what}
        text = json.dumps(report, indent=1)
        try:
            trainer.write_model(folder)
            first_does(lambda: (folder / "reason.json").write_text(text, encoding="utf-8"))
            saved = f"The model of then is in {folder}."
        except CheckpointError as error:
            saved = f"The model could not be saved: {error}."
        raise TrainingError(
            f"Stage {trainer.stage.name!r} cannot go on after step {step}. {what}. {saved} Lower "
            "learning_rate, clip more (max_grad_norm), train in float32, or look at these samples: "
            "`superlink data inspect` shows some, `superlink data validate` finds broken ones."
        )
