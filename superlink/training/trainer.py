"""SuperLinkTrainer: transformers' Trainer on a linked model; one stage of a recipe."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Sampler, SequentialSampler
from transformers import PrinterCallback, Trainer, TrainingArguments

from ..build import restore
from ..checkpoint import read_tensors, save, write_tensors
from ..errors import ConfigError, SuperLinkError
from ..model import SuperLinkModel
from ..registry import Registry
from .averaging import MovingAverage
from .dataset import StageDataset, from_worker
from .mixture import Mixture
from .naming import LinkNaming
from .parameters import parameter_groups
from .progress import StageProgress
from .recipe import Stage

__all__ = ["SuperLinkTrainer", "stage_arguments"]

_EXTRAS = "stage.safetensors"
"""What a stage needs beside the model to go on: the moving average, the naming head, counters."""


class SuperLinkTrainer(Trainer):
    """Trains one stage.

    What is ours: the loss with its parts, learning rates by module path, the order of the data,
    and the format of checkpoints. The loop, devices, precision, clipping and schedules are
    transformers'.

    The loss of a step is the mean over its accumulated batches, each of which divides by its own
    counts. So accumulation equals one large batch exactly where the batches have the same numbers
    of words and targets, and nearly otherwise.

    Args:
        model: The linked model; what it trains is frozen or not already.
        arguments: From `stage_arguments`.
        stage: The stage.
        dataset: Its samples.
        registry: Where a checkpoint's backbone is looked up; None takes what is installed.
        progress: Whether to show a bar.
    """

    def __init__(
        self,
        model: SuperLinkModel,
        arguments: TrainingArguments,
        stage: Stage,
        dataset: StageDataset | Mixture,
        *,
        registry: Registry | None = None,
        progress: bool = True,
    ) -> None:
        self.stage = stage
        self.linked = model
        self.registry = registry
        self.num_samples = len(dataset)
        self.num_dropped = 0
        self._parts: dict[str, list[Tensor]] = defaultdict(list)
        self._seconds_before, self._started = 0.0, _cpu_time()
        super().__init__(
            model=model, args=arguments, train_dataset=dataset, data_collator=self._collate
        )
        # Only now: the model is on its device, and the seed of the stage is set.
        self.naming = LinkNaming(model).to(self.args.device) if stage.link_loss else None
        self.average = MovingAverage(model, stage.ema) if stage.ema else None
        self.bar = StageProgress(stage.name) if progress else None
        for callback in filter(None, (self.average, self.bar)):
            self.add_callback(callback)
        self.remove_callback(PrinterCallback)
        # Our loss is a mean over the batch, and divided by the accumulation steps by the Trainer.
        self.loss_is_scaled_for_ga = False

    @property
    def cpu_seconds(self) -> float:
        """Processor time of the stage, interrupted runs up to their last checkpoint included.

        That of loader workers counts once they have ended.
        """
        return self._seconds_before + _cpu_time() - self._started

    def run(self, checkpoint: str | None = None) -> None:
        """Train, from the start or from a checkpoint of the stage."""
        try:
            self.train(resume_from_checkpoint=checkpoint)
        except SuperLinkError as error:
            if (plain := from_worker(error)) is error:
                raise
            raise plain from error
        finally:
            if self.bar is not None:
                self.bar.close()

    def _collate(self, samples: list[Any]) -> dict[str, Any]:
        batch = self.linked.processor(samples, run_decoders=self.stage.run_decoders)
        return {**batch}

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        """The data set has its order already."""
        return SequentialSampler(range(self.num_samples))

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """AdamW with one group for each learning rate of the stage."""
        if self.optimizer is None:
            groups = parameter_groups(self.linked, self.stage)
            if self.naming is not None:
                rate = max(group["lr"] for group in groups)
                head = {"params": list(self.naming.parameters()), "lr": rate, "weight_decay": 0.0}
                groups.append(head)
            self.optimizer = torch.optim.AdamW(groups, betas=self.stage.adam_betas, foreach=True)
            # The Trainer forgets the gradients of the model alone; the naming head is beside it.
            self.optimizer.register_step_post_hook(lambda optimizer, *_: optimizer.zero_grad())
        return self.optimizer

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The model's loss, plus the link loss where the stage has one; parts are logged."""
        self.num_dropped += len(inputs.pop("dropped", ()))
        out = model(**inputs)
        loss = out.loss
        for name, (total, count) in out.losses.items():
            self._parts[f"loss/{name}"].append(total.detach() / max(float(count), 1.0))
        if self.naming is not None:
            naming = self.naming(out.links, inputs)
            loss = loss + self.stage.link_loss * naming
            self._parts["loss/link"].append(naming.detach())
        return (loss, out) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the mean of each part of the loss since the last log."""
        for name, values in self._parts.items():
            logs[name] = round(float(torch.stack(values).mean()), 5)
        self._parts.clear()
        if self.num_dropped:
            logs["dropped_samples"] = float(self.num_dropped)
        super().log(logs, start_time)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Write our checkpoint folder in place of the Trainer's."""
        folder = save(self.linked, output_dir or str(self.args.output_dir))
        write_tensors(self._extras(), folder / _EXTRAS)

    def _load_from_checkpoint(
        self, resume_from_checkpoint: str, model: nn.Module | None = None
    ) -> None:
        """Read our checkpoint folder in place of the Trainer's."""
        folder = Path(resume_from_checkpoint)
        restore(self.linked, folder, self.registry)
        extras = read_tensors(folder / _EXTRAS)
        if self.average is not None:
            self.average.load_state_dict(_part(extras, "average."))
        if self.naming is not None:
            self.naming.load_state_dict(_part(extras, "naming."))
        self.num_dropped = int(extras["num_dropped"])
        self._seconds_before = float(extras["cpu_seconds"])

    def _extras(self) -> dict[str, Tensor]:
        average = self.average.state_dict() if self.average else {}
        naming = self.naming.state_dict() if self.naming else {}
        return {
            "num_dropped": torch.tensor(self.num_dropped),
            "cpu_seconds": torch.tensor(self.cpu_seconds),
            **{f"average.{name}": value for name, value in average.items()},
            **{f"naming.{name}": value for name, value in naming.items()},
        }


def _cpu_time() -> float:
    """Of this process, and of those that it has waited for."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def _part(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def stage_arguments(stage: Stage, folder: Path, seed: int) -> TrainingArguments:
    """A stage in the words of transformers.

    Raises:
        ConfigError: Several processes were started; a stage runs in one, on one device.
    """
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=stage.steps,
        per_device_train_batch_size=stage.batch_size,
        gradient_accumulation_steps=stage.gradient_accumulation,
        learning_rate=stage.learning_rate,
        lr_scheduler_type="warmup_stable_decay",
        lr_scheduler_kwargs={
            "num_decay_steps": int(stage.steps * stage.decay_share),
            "decay_type": "linear",
            "min_lr_ratio": 0.02,
        },
        warmup_steps=min(stage.warmup_steps, stage.steps // 3),
        max_grad_norm=stage.max_grad_norm,
        weight_decay=stage.weight_decay,
        seed=seed,
        logging_steps=max(1, min(25, stage.steps // 20)),
        save_strategy="steps" if stage.save_steps else "no",
        save_steps=stage.save_steps or stage.steps,
        save_total_limit=2,
        report_to=[],
        remove_unused_columns=False,
        disable_tqdm=True,
        label_names=["labels"],
        dataloader_num_workers=stage.num_workers,
        dataloader_pin_memory=False,
        use_cpu=not torch.cuda.is_available(),
    )
    if arguments.world_size > 1:
        raise ConfigError(
            "A stage runs in one process and on one device. "
            f"Received: {arguments.world_size} processes. Start superlink without a launcher."
        )
    # More devices would be taken in threads, which share the hooks of the link.
    arguments._n_gpu = min(1, arguments.n_gpu)
    return arguments
