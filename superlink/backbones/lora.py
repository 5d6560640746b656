"""LoRA on the language model of a backbone, by peft."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..errors import BackboneError, CheckpointError, ConfigError, MissingDependencyError
from ..interfaces import LoraChoice

__all__ = [
    "add_lora",
    "base_state_dict",
    "check_adapter",
    "has_adapter",
    "load_adapter",
    "remove_adapter",
    "save_adapter",
    "save_base",
]

ADAPTER = "default"
"""Name of an adapter that is put on here."""

_FILE, _PREFIX = "adapter_model.safetensors", "base_model.model."
_VISION = {"vision_tower", "vision_model", "vision_encoder", "visual", "vision", "image_encoder"}


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
    _inject(
        model,
        LoraConfig(
            r=choice.rank,
            lora_alpha=cast(int, choice.alpha),  # peft takes any number
            lora_dropout=choice.dropout,
            target_modules=wanted,
        ),
    )
    hit = {name for name, _ in _tuned_layers(model)}
    if hit != {*wanted}:
        remove_adapter(model, merge=False)
        raise BackboneError(
            f"peft puts LoRA on other modules of {type(model).__name__} than those that were "
            f"named, such as {sorted(hit ^ {*wanted})[:3]}. Name targets apart from them: "
            "lora={'targets': ['q_proj', 'v_proj']}."
        )


def _tuned_layers(model: nn.Module) -> list[tuple[str, Any]]:
    """The layers that carry LoRA, the outermost where one lies in another."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    found: list[tuple[str, Any]] = []
    for name, module in model.named_modules():
        inside = any(name.startswith(f"{outer}.") for outer, _ in found)
        if isinstance(module, BaseTunerLayer) and not inside:
            found.append((name, module))
    return found


def _inject(model: Any, config: Any) -> None:
    """Put an adapter on, in float32 whatever the weights are: bfloat16 would lose its steps."""
    from peft import inject_adapter_in_model

    try:
        with warnings.catch_warnings():  # of rules for experts that no target was found for
            warnings.simplefilter("ignore", RuntimeWarning)
            inject_adapter_in_model(config, model, ADAPTER)
    except NotImplementedError as error:
        if has_adapter(model):
            remove_adapter(model, merge=False)
        raise BackboneError(
            f"peft cannot put LoRA on {type(model).__name__}: {error} Train without `lora`."
        ) from error
    model._hf_peft_config_loaded = True  # transformers' own mark of such a model
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(".lora_" in name)
        if ".lora_" in name:
            parameter.data = parameter.data.float()


def _linear_layers(model: Any, head: nn.Module) -> list[str]:
    """Full names of the linear layers of the language model, its head left out."""
    decoder: Any = model
    with suppress(AttributeError, NotImplementedError):
        decoder = model.get_decoder()
    inside = {id(module) for module in decoder.modules()}
    return [
        name
        for name, module in model.named_modules()
        if _is_plain_linear(module)
        and id(module) in inside
        and module is not head
        and not _VISION & {*name.split(".")}
    ]


def _is_plain_linear(module: nn.Module) -> bool:
    """A layer or its quantized form; subclasses of models, such as routers, do more than that."""
    return isinstance(module, nn.Linear) and "transformers" not in type(module).__module__


def has_adapter(model: Any) -> bool:
    """Whether peft has put an adapter on a model."""
    return bool(getattr(model, "peft_config", None))


def check_adapter(model: Any) -> tuple[str, Any]:
    """The name and the config of the one adapter of a model.

    Raises:
        BackboneError: There are several, or it also trains other modules or single tokens.
    """
    (name, config), *others = model.peft_config.items()
    extra = ("modules_to_save", "trainable_token_indices")
    if others or any(getattr(config, field, None) for field in extra):
        raise BackboneError(
            "A checkpoint holds one adapter of low-rank updates alone. Received: adapters "
            f"{[*model.peft_config]}, some with {' or '.join(extra)}. Merge the others first; "
            "routing tokens need no trainable token, as the link brings their rows."
        )
    return str(name), config


def save_adapter(model: Any, folder: Path) -> None:
    """Write the adapter alone, in peft's form."""
    name, config = check_adapter(model)
    config.save_pretrained(folder)
    save_file({k: v.contiguous() for k, v in _tensors(model, name).items()}, folder / _FILE)


def load_adapter(model: Any, folder: Path) -> None:
    """Put the adapter in `folder` on a model, or its weights into the adapter that is there.

    Raises:
        CheckpointError: The adapter on the model is another one, or the file lacks some of it.
    """
    from peft import LoraConfig

    saved = LoraConfig.from_pretrained(str(folder))
    if has_adapter(model):
        _, config = check_adapter(model)
        for field in ("r", "lora_alpha"):
            if getattr(config, field) != getattr(saved, field):
                raise CheckpointError(
                    f"The adapter in {folder} has {field}={getattr(saved, field)}. Received: a "
                    f"model whose adapter has {getattr(config, field)}. Build it with the same."
                )
    else:
        saved.inference_mode = False
        _inject(model, saved)
    name, _ = check_adapter(model)
    own, read = _tensors(model, name), load_file(folder / _FILE)
    if own.keys() != read.keys():
        raise CheckpointError(
            f"The adapter in {folder} does not fit the model: {len(own.keys() - read.keys())} of "
            f"its {len(own)} tensors are missing, {len(read.keys() - own.keys())} have no place."
        )
    with torch.no_grad():
        for key, value in own.items():
            value.copy_(read[key])


def _tensors(model: nn.Module, adapter: str) -> dict[str, Tensor]:
    """The weights of an adapter under the names that peft gives them in a file."""
    return {
        _PREFIX + name.replace(f".{adapter}.", ".").removesuffix(f".{adapter}"): value
        for name, value in model.state_dict().items()
        if ".lora_" in name
    }


def remove_adapter(model: Any, *, merge: bool) -> None:
    """Take the adapter off; with `merge` its updates go into the weights first."""
    for name, layer in _tuned_layers(model):
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
    with _without_flag(model):
        model.save_pretrained(folder, state_dict=base_state_dict(model))


@contextmanager
def _without_flag(model: Any) -> Iterator[None]:
    """Inside of the `with` block, `save_pretrained` writes the model and not its adapter."""
    before, model._hf_peft_config_loaded = model._hf_peft_config_loaded, False
    try:
        yield
    finally:
        model._hf_peft_config_loaded = before
