"""A moving average of the weights that a stage trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ..errors import ConfigError

__all__ = ["MovingAverage"]


class MovingAverage(TrainerCallback):
    """Keeps `average = decay * average + (1 - decay) * weights` after each step.

    Early in a stage the decay is smaller, so that the first weights do not weigh for long.

    Args:
        model: Its trained parameters are averaged.
        decay: Between 0 and 1.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.model = model
        self.weights = {n: p for n, p in model.named_parameters() if p.requires_grad}
        # In float32: a bfloat16 average would round each small step away.
        self.average = {n: p.detach().float().clone() for n, p in self.weights.items()}

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Cut the average as an engine has cut the weights."""
        self.weights = {n: p for n, p in self.model.named_parameters() if p.requires_grad}
        if any(hasattr(weight, "ds_id") for weight in self.weights.values()):
            raise ConfigError(
                "DeepSpeed's ZeRO-3 hides the weights that a moving average follows. Received: "
                "ema. Leave it out, or share the work by FSDP2 or ZeRO-2."
            )
        for name, weight in self.weights.items():
            if isinstance(weight, DTensor):
                self.average[name] = distribute_tensor(
                    self.average[name], weight.device_mesh, weight.placements
                )

    @torch.no_grad()
    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Move the average towards the weights."""
        step = state.global_step
        decay = min(self.decay, (1 + step) / (10 + step))
        weights = [p.detach().float() for p in self.weights.values()]
        torch._foreach_lerp_(list(self.average.values()), weights, 1 - decay)

    @torch.no_grad()
    def apply(self) -> None:
        """Put the average in place of the weights."""
        for name, parameter in self.weights.items():
            parameter.copy_(self.average[name])

    def state_dict(self) -> dict[str, Tensor]:
        """The average by parameter name."""
        whole = {
            n: v.full_tensor() if isinstance(v, DTensor) else v for n, v in self.average.items()
        }
        return {name: value.contiguous() for name, value in whole.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a saved average."""
        for name, value in self.average.items():
            value.copy_(state[name])
