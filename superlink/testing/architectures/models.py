"""A random model of any image-text-to-text architecture, small enough for tests."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import nn
from transformers import (
    AutoModelForImageTextToText,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from ...errors import ConfigError
from . import special
from .configs import tiny_config
from .families import family_of

__all__ = ["tiny_model"]

_MOST_PARAMETERS = 3_000_000


def tiny_model(
    architecture: str, tokenizer: PreTrainedTokenizerFast, *, seed: int = 0
) -> PreTrainedModel:
    """A model with 2 layers of width 64, random weights, in float32 and in evaluation mode.

    Args:
        architecture: One of `ARCHITECTURES`.
        tokenizer: From `tiny_tokenizer`; the model has exactly its vocabulary.
        seed: Of the weights.

    Raises:
        ConfigError: No such architecture, one that is refused, or one that stays large.
    """
    family = family_of(architecture)
    if family.refused is not None:
        raise ConfigError(f"Received: architecture={architecture!r}. {family.refused}")
    config = tiny_config(architecture, tokenizer)
    with torch.device("meta"):
        size = sum(p.numel() for p in _build(config, family.attention).parameters())
    if size > _MOST_PARAMETERS:
        raise ConfigError(
            f"Expected at most {_MOST_PARAMETERS} parameters. Received: {architecture}, which "
            f"has {size}. Make it smaller with an entry `config` in the file of its family."
        )
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model = _build(config, family.attention)
        _open_gates(model)
        if family.initialise is not None:
            getattr(special, family.initialise)(model)
    model.eval()
    return model


def _build(config: PreTrainedConfig, attention: str | None) -> PreTrainedModel:
    """The model of a configuration; a copy of it, as models write into theirs."""
    make: Callable[..., PreTrainedModel] = AutoModelForImageTextToText.from_config
    try:
        model = make(
            copy.deepcopy(config), attn_implementation=attention or "sdpa", dtype=torch.float32
        )
    except ValueError as error:
        if attention is not None or "attention" not in str(error).lower():
            raise
        model = make(copy.deepcopy(config), attn_implementation="eager", dtype=torch.float32)
    return model


def _open_gates(model: nn.Module) -> None:
    """Give values to what starts at zero, such as a projector or a gate that shuts pixels out."""
    for name, parameter in model.named_parameters():
        if not parameter.is_floating_point() or parameter.count_nonzero() or "bias" in name:
            continue
        if name.endswith(".query"):
            continue  # it shuts nothing out: it weighs all states alike
        if parameter.dim() > 1:
            parameter.normal_(std=0.1)
        elif "norm" not in name:
            parameter.fill_(0.5)
