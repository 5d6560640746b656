"""The learning rate of a stage over its steps, in the words of transformers."""

from __future__ import annotations

from typing import Any

from .recipe import Stage

__all__ = ["scheduler_arguments"]

_NAMES = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}
_FINAL_SHARE = 0.02
"""Of the learning rate, at the end of the schedule `stable`."""


def scheduler_arguments(stage: Stage) -> dict[str, Any]:
    """The arguments of `TrainingArguments` that make the schedule of a stage."""
    warmup = {"warmup_steps": min(stage.warmup_steps, stage.steps // 3)}
    if stage.schedule != "stable":
        return {"lr_scheduler_type": _NAMES[stage.schedule], "lr_scheduler_kwargs": {}, **warmup}
    settings = {
        "num_decay_steps": min(
            int(stage.steps * stage.decay_share), stage.steps - int(warmup["warmup_steps"])
        ),
        "decay_type": "linear",
        "min_lr_ratio": _FINAL_SHARE,
    }
    return {
        "lr_scheduler_type": "warmup_stable_decay",
        "lr_scheduler_kwargs": settings,
        **warmup,
    }
