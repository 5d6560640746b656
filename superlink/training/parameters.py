"""Which parameters a stage trains, and how fast: by module path, never by a part of a name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from ..errors import ConfigError
from .recipe import Stage

__all__ = ["freeze", "learning_rate_of", "parameter_groups"]


def learning_rate_of(name: str, stage: Stage) -> float:
    """The learning rate of the parameter `name`: that of the longest module path that holds it."""
    paths = [path for path in stage.learning_rates if f"{name}.".startswith(f"{path}.")]
    return stage.learning_rates[max(paths, key=len)] if paths else stage.learning_rate


def freeze(model: nn.Module, stage: Stage, fixed: frozenset[str]) -> None:
    """Let exactly those parameters take gradients that the stage trains.

    Args:
        model: The whole model.
        stage: Names the learning rates.
        fixed: Parameters that are never trained, whatever a stage says.

    Raises:
        ConfigError: A path of the stage leads to no parameter, or nothing is left to train.
    """
    names = [name for name, _ in model.named_parameters()]
    for path in stage.learning_rates:
        if not any(f"{name}.".startswith(f"{path}.") for name in names):
            tops = sorted({".".join(name.split(".")[:2]) for name in names})
            raise ConfigError(
                f"learning_rates of stage {stage.name!r} names {path!r}, and no parameter lies "
                f"below it. Paths begin with {', '.join(tops)}."
            )
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name not in fixed and learning_rate_of(name, stage) > 0)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ConfigError(
            f"Stage {stage.name!r} trains nothing: every parameter is frozen, or has the learning "
            f"rate 0. Received: learning_rate={stage.learning_rate}, "
            f"learning_rates={stage.learning_rates}"
        )


def parameter_groups(model: nn.Module, stage: Stage) -> list[dict[str, Any]]:
    """Groups for the optimizer: one for each learning rate, matrices apart from vectors."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in _trained(model):
        decay = stage.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((learning_rate_of(name, stage), decay), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in sorted(groups.items(), key=lambda item: item[0])
    ]


def _trained(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    return ((name, p) for name, p in model.named_parameters() if p.requires_grad)
