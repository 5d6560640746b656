"""SuperLinkTrainer: transformers' Trainer on a linked model; one stage of a recipe."""

from __future__ import annotations

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
from ..model import SuperLinkModel
from .averaging import MovingAverage
from .dataset import StageDataset
from .naming import LinkNaming
from .parameters import parameter_groups
from .progress import StageProgress
from .recipe import Stage

__all__ = ["SuperLinkTrainer", "stage_arguments"]

_EXTRAS = "stage.safetensors"
"""What a stage needs beside the model to go on: the moving average and the naming head."""


class SuperLinkTrainer(Trainer):
    """Trains one stage.

    What is ours: the loss with its parts, learning rates by module path, the order of the data,
    and the format of checkpoints. The loop, devices, precision, clipping and schedules are
    transformers'.

    Args:
        model: The linked model; what it trains is frozen or not already.
        arguments: From `stage_arguments`.
        stage: The stage.
        dataset: Its samples.
        progress: Whether to show a bar.
    """

    def __init__(
        self,
        model: SuperLinkModel,
        arguments: TrainingArguments,
        stage: Stage,
        dataset: StageDataset,
        *,
        progress: bool = True,
    ) -> None:
        self.stage = stage
        self.linked = model
        self.num_samples = len(dataset)
        self.naming = LinkNaming(model) if stage.link_loss else None
        self.average = MovingAverage(model, stage.ema) if stage.ema else None
        self.dropped: list[str] = []
        self._parts: dict[str, list[Tensor]] = defaultdict(list)
        super().__init__(
            model=model,
            args=arguments,
            train_dataset=dataset,
            data_collator=self._collate,
            callbacks=[self.average] if self.average else None,
        )
        if self.naming is not None:
            self.naming.to(self.args.device)
        self.remove_callback(PrinterCallback)
        if progress:
            self.add_callback(StageProgress(stage.name))
        # Our loss is a mean over the batch, and divided by the accumulation steps by the Trainer.
        self.loss_is_scaled_for_ga = False

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
        return self.optimizer

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The model's loss, plus the link loss where the stage has one; parts are logged."""
        self.dropped += inputs.pop("dropped", [])
        out = model(**inputs)
        loss = out.loss
        for name, (total, count) in out.losses.items():
            self._parts[f"loss/{name}"].append(total.detach() / max(float(count), 1.0))
        if self.naming is not None:
            naming = self.naming(out.links)
            loss = loss + self.stage.link_loss * naming
            self._parts["loss/link"].append(naming.detach())
        return (loss, out) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the mean of each part of the loss since the last log."""
        for name, values in self._parts.items():
            logs[name] = round(float(torch.stack(values).mean()), 5)
        self._parts.clear()
        if self.dropped:
            logs["dropped_samples"] = float(len(self.dropped))
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
        restore(self.linked, folder)
        extras = read_tensors(folder / _EXTRAS)
        if self.average is not None:
            self.average.load_state_dict(_part(extras, "average."))
        if self.naming is not None:
            self.naming.load_state_dict(_part(extras, "naming."))

    def _extras(self) -> dict[str, Tensor]:
        average = self.average.state_dict() if self.average else {}
        naming = self.naming.state_dict() if self.naming else {}
        return {f"average.{k}": v for k, v in average.items()} | {
            f"naming.{k}": v for k, v in naming.items()
        }


def _part(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def stage_arguments(stage: Stage, folder: Path, seed: int) -> TrainingArguments:
    """A stage in the words of transformers."""
    return TrainingArguments(
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
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
        use_cpu=not torch.cuda.is_available(),
    )
