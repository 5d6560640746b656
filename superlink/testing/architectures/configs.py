"""The configuration of a tiny model: the default one, shrunk, then corrected by its family."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from transformers import (
    CONFIG_MAPPING,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    AutoConfig,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
)

from .families import Family, family_of
from .shrinking import add_sections, shrink

__all__ = ["tiny_config"]

_OWN = ("architectures", "transformers_version", "model_type", "dtype", "_name_or_path")


def tiny_config(architecture: str, tokenizer: PreTrainedTokenizerFast) -> PreTrainedConfig:
    """Configuration of a model with 2 layers of width 64 and the vocabulary of a tokenizer."""
    family = family_of(architecture)
    kind = CONFIG_MAPPING[architecture]
    small = shrink(_defaults(kind, family), tokenizer)
    small = {name: value for name, value in small.items() if name not in _OWN}
    if _has_three_axes(kind):
        small = add_sections(small)
    for path in family.drop:
        _drop(small, path.split("."))
    config: PreTrainedConfig = kind(**_merge(small, family.config, tokenizer))
    return config


def _defaults(kind: type[PreTrainedConfig], family: Family) -> dict[str, Any]:
    build: Callable[..., PreTrainedConfig] = kind
    try:
        defaults = build()
    except (ValueError, TypeError, AttributeError):
        # Some have no default, as they join two models; the family names those.
        defaults = build(**family.config)
    vision = kind.sub_configs.get("vision_config")
    if vision not in (None, AutoConfig) and defaults.vision_config is None:
        defaults = build(vision_config=vision())  # some see nothing by default
    values: dict[str, Any] = defaults.to_dict()
    return values


def _has_three_axes(kind: type[PreTrainedConfig]) -> bool:
    """Whether the model may place tokens by time, row and column: it gets the grids of images."""
    if kind not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        return False
    model: Any = MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING[kind]
    return "image_grid_thw" in inspect.signature(model.forward).parameters


def _drop(config: dict[str, Any], path: list[str]) -> None:
    for name in path[:-1]:
        config = config.get(name) or {}
    config.pop(path[-1], None)


def _merge(
    config: dict[str, Any], changes: dict[str, Any], tokenizer: PreTrainedTokenizerFast
) -> dict[str, Any]:
    merged = dict(config)
    for name, change in changes.items():
        if isinstance(change, dict):
            below = merged.get(name)
            merged[name] = _merge(below if isinstance(below, dict) else {}, change, tokenizer)
        elif change == "$vocab_size":
            merged[name] = len(tokenizer)
        elif isinstance(change, str) and change in tokenizer.get_added_vocab():
            merged[name] = tokenizer.convert_tokens_to_ids(change)
        else:
            merged[name] = change
    return merged
