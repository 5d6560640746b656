"""A stage in the words of transformers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import TrainingArguments

from ..errors import ConfigError
from .processes import num_processes
from .recipe import Stage
from .schedule import scheduler_arguments

__all__ = ["forward_size", "stage_arguments"]


def forward_size(stage: Stage, processes: int) -> int:
    """How many samples a process takes in one forward.

    Raises:
        ConfigError: The samples of a step cannot be dealt to so many processes.
    """
    share, rest = divmod(stage.batch_size, processes)
    if rest:
        fitting = dict.fromkeys([max(share, 1) * processes, (share + 1) * processes])
        raise ConfigError(
            f"batch_size of stage {stage.name!r} is that of a step over all devices, and must be a "
            f"multiple of their number. Received: batch_size={stage.batch_size}, {processes} "
            f"devices. Set it to {' or '.join(map(str, fitting))}."
        )
    most = min(share, stage.micro_batch_size or share)
    size = next(size for size in range(most, 0, -1) if share % size == 0)
    blocks = stage.block_size > 1 and stage.batch_size % stage.block_size == 0
    if stage.block_size > 1 and (not blocks or stage.block_size % size):
        raise ConfigError(
            f"Stage {stage.name!r} wants {stage.block_size} samples in a row from one data set, "
            f"and a forward takes {size}: some would mix. {_forwards(stage, share, size)} Choose a "
            f"block_size that is a multiple of {size} and divides batch_size={stage.batch_size}, "
            "or another micro_batch_size."
        )
    return size


def _forwards(stage: Stage, share: int, size: int) -> str:
    """Where the size of a forward comes from."""
    most = stage.micro_batch_size or share
    limit = "" if most >= share else f" and micro_batch_size={most} allows {most} at once"
    return (
        f"A device has {share} samples of a step{limit}, so that it takes them in equal forwards "
        f"of {size}."
    )


def stage_arguments(
    stage: Stage, folder: Path, seed: int, report_to: Sequence[str] = ()
) -> TrainingArguments:
    """The arguments of the Trainer for a stage.

    Args:
        stage: The stage.
        folder: Where its checkpoints go.
        seed: Of draws that no sample makes, as those of dropout.
        report_to: Loggers of transformers, as `tensorboard`.

    Raises:
        ConfigError: The samples of a step cannot be dealt to the processes.
    """
    cpu = not torch.cuda.is_available()
    processes = num_processes()
    size = forward_size(stage, processes)
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=stage.steps,
        per_device_train_batch_size=size,
        gradient_accumulation_steps=stage.batch_size // (processes * size),
        learning_rate=stage.learning_rate,
        max_grad_norm=stage.max_grad_norm,
        weight_decay=stage.weight_decay,
        seed=seed,
        bf16=stage.precision == "bfloat16",
        logging_steps=max(1, min(25, stage.steps // 20)),
        save_strategy="steps" if stage.save_steps else "no",
        save_steps=stage.save_steps or stage.steps,
        report_to=list(report_to),
        remove_unused_columns=False,
        disable_tqdm=True,
        label_names=["labels"],
        dataloader_num_workers=stage.num_workers,
        dataloader_pin_memory=False,
        ddp_find_unused_parameters=False,
        use_cpu=cpu,
        **scheduler_arguments(stage),
    )
    # More devices would be taken in threads, which share the hooks of the link.
    arguments._n_gpu = min(1, arguments.n_gpu)
    return arguments
