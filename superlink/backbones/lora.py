"""LoRA on the language model of a backbone, by peft through transformers' own integration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from safetensors.torch import load_file
from torch import Tensor, nn

from ..errors import BackboneError, ConfigError, MissingDependencyError
from ..interfaces import LoraChoice

__all__ = [
    "add_lora",
    "base_state_dict",
    "has_adapter",
    "load_adapter",
    "remove_adapter",
    "save_adapter",
    "save_base",
]

ADAPTER = "default"
"""Name of the adapter, as peft gives it to a wrapped model too."""


def add_lora(model: Any, head: nn.Module, choice: LoraChoice) -> None:
    """Put LoRA on linear layers of the language model; all other weights are frozen.

    Source: Hu et al., arXiv 2106.09685.

    Raises:
        MissingDependencyError: peft is not installed.
        ConfigError: No linear layer of the language model bears one of the names.
    """
    try:
        from peft import LoraConfig
    except ImportError as error:
        raise MissingDependencyError(
            "LoRA needs peft, which is not installed. Run: pip install 'superlink[lora]'"
        ) from error
    if has_adapter(model):
        raise BackboneError(
            "A backbone carries one adapter. Received: a model that has one. Merge it first, or "
            "train that one."
        )
    names = _linear_layers(model, head)
    wanted = [n for n in names if not choice.targets or n.rsplit(".", 1)[-1] in choice.targets]
    if not wanted:
        leaves = sorted({name.rsplit(".", 1)[-1] for name in names})
        raise ConfigError(
            f"LoRA targets are names of linear layers of the language model: {', '.join(leaves)}. "
            f"Received: targets={choice.targets}"
        )
    config = LoraConfig(
        r=choice.rank,
        lora_alpha=cast(int, choice.alpha),  # peft takes any number
        lora_dropout=choice.dropout,
        target_modules=wanted,
    )
    model.add_adapter(config, adapter_name=ADAPTER)


def _linear_layers(model: Any, head: nn.Module) -> list[str]:
    """Full names of the linear layers of the language model, its head left out."""
    inside = {id(module) for module in model.get_decoder().modules()}
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and id(module) in inside and module is not head
    ]


def has_adapter(model: Any) -> bool:
    """Whether peft has put an adapter on a model."""
    return bool(getattr(model, "peft_config", None))


def save_adapter(model: Any, folder: Path) -> None:
    """Write the adapter alone."""
    with _adapter_flag(model, True):
        model.save_pretrained(folder)


def load_adapter(model: Any, folder: Path) -> None:
    """Put the adapter in `folder` on a model, or its weights into the adapter that is there."""
    if not has_adapter(model):
        model.load_adapter(str(folder), adapter_name=ADAPTER, is_trainable=True)
        return
    from peft import set_peft_model_state_dict

    state = load_file(folder / "adapter_model.safetensors")
    state = {name.removeprefix("base_model.model."): value for name, value in state.items()}
    set_peft_model_state_dict(model, state, ADAPTER)


def remove_adapter(model: Any, *, merge: bool) -> None:
    """Take the adapter off; with `merge` its updates go into the weights first."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [(n, m) for n, m in model.named_modules() if isinstance(m, BaseTunerLayer)]
    for name, layer in layers:
        if merge:
            layer.merge()
        model.set_submodule(name, layer.get_base_layer())
    del model.peft_config
    model._hf_peft_config_loaded = False


def base_state_dict(model: nn.Module) -> dict[str, Tensor]:
    """The weights of a model without its adapter, under their own names."""
    return {
        name.replace(".base_layer.", "."): value
        for name, value in model.state_dict().items()
        if ".lora_" not in name
    }


def save_base(model: Any, folder: Path) -> None:
    """Write a model without its adapter."""
    with _adapter_flag(model, False):
        model.save_pretrained(folder, state_dict=base_state_dict(model))


@contextmanager
def _adapter_flag(model: Any, value: bool) -> Iterator[None]:
    """What tells `save_pretrained` to write the adapter alone, or the model alone."""
    before, model._hf_peft_config_loaded = model._hf_peft_config_loaded, value
    try:
        yield
    finally:
        model._hf_peft_config_loaded = before
