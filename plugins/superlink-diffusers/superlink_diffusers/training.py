"""What of a decoder is trained, and what a checkpoint need not hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import nn

from superlink.errors import ConfigError, MissingDependencyError

from .config import LoraSettings, PictureConfig

__all__ = ["frozen_paths", "prepare_training", "untouched", "write_counts"]


def prepare_training(model: nn.Module, config: PictureConfig, always: Sequence[str]) -> None:
    """Freeze what of a model is not trained, and put LoRA into it where it is asked for.

    Args:
        model: The diffusion model.
        config: Says what is trained.
        always: Paths of modules that are trained in any case.

    Raises:
        ConfigError: The model has none of the layers that LoRA shall change.
        MissingDependencyError: LoRA needs peft.
    """
    if config.train == "model":
        return
    model.requires_grad_(False)
    if config.train == "lora":
        _add_lora(model, config.lora)
        for weight in model.parameters():
            if weight.requires_grad:  # small steps are lost in half precision
                weight.data = weight.data.to(torch.float32)
    for path in always:
        model.get_submodule(path).requires_grad_(True)


def _add_lora(model: nn.Module, settings: LoraSettings) -> None:
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise MissingDependencyError(
            "train: lora needs peft. Run: pip install 'superlink-diffusers[lora]'"
        ) from error
    lora = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=list(settings.targets),
    )
    try:
        inject_adapter_in_model(lora, model)
    except ValueError as error:
        raise ConfigError(
            f"LoRA finds nothing to change in a {type(model).__name__}. Received: "
            f"lora.targets={settings.targets}: {error}"
        ) from error


def frozen_paths(module: nn.Module, path: str) -> Iterator[str]:
    """The uppermost modules, below one that lies at `path`, without a weight that is trained."""
    if not any(weight.requires_grad for weight in module.parameters()):
        yield path
        return
    for name, child in module.named_children():
        yield from frozen_paths(child, f"{path}.{name}")


def write_counts(module: nn.Module) -> dict[str, int]:
    """How often torch wrote to each of a module's weights."""
    return {name: weight._version for name, weight in module.named_parameters()}


def untouched(paths: Sequence[str], module: nn.Module, before: Mapping[str, int]) -> list[str]:
    """Those of the paths below which no weight was written to since `write_counts` said `before`.

    A checkpoint that a training starts from, or a file of weights, may have brought others than
    those of the source.
    """
    written = [name for name, count in write_counts(module).items() if count != before.get(name)]
    return [path for path in paths if not any(name.startswith(f"{path}.") for name in written)]
