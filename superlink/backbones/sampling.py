"""The sampler of transformers: its processors of logits and its stopping criteria, as `generate`
makes them of a model's generation config and of what a user asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import (
    GenerationConfig,
    LogitsProcessorList,
    MaxLengthCriteria,
    StoppingCriteriaList,
    StopStringCriteria,
)
from transformers.generation.configuration_utils import GenerationMode

from ..errors import ConfigError
from .anatomy import first_position
from .stepping import Columns

__all__ = ["GenerateSampler", "Start", "prepare_prompt"]

_MODES = (GenerationMode.GREEDY_SEARCH, GenerationMode.SAMPLE)
_REFUSED = {
    "num_return_sequences": "Give the same sample several times, or `num_return_sequences` to "
    "`SuperLinkModel.answer`, which does so.",
    "streamer": "Use `SuperLinkModel.stream`, whose events also hold routes and predictions.",
    "use_cache": "Slots enter a cached step, so that the cache stays on.",
}


@dataclass(frozen=True)
class GenerateSampler:
    """Picks tokens as `generate` would. Source: `GenerationMixin._sample` of transformers."""

    processors: Any  # a LogitsProcessorList and a StoppingCriteriaList, typed for LongTensor alone
    criteria: Any
    do_sample: bool

    def pick(self, ids: Tensor, logits: Tensor) -> Tensor:
        """See `Sampler.pick`."""
        scores: Tensor = self.processors(ids, logits.float())
        if self.do_sample:
            return torch.multinomial(scores.softmax(-1), 1).squeeze(1)
        return scores.argmax(-1)

    def stops(self, ids: Tensor) -> Tensor:
        """See `Sampler.stops`."""
        if not self.criteria:
            return torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
        stops: Tensor = self.criteria(ids, None)
        return stops


@dataclass
class Start:
    """In the place of a cache: the forward that begins a generation."""

    length: int
    """New columns that the cache must hold."""
    settings: Mapping[str, Any]
    """What a user asks for."""
    sampler: GenerateSampler | None = None
    """Known once the forward has run."""


def prepare_prompt(
    model: Any, tokenizer: Any, inputs: Mapping[str, Any], length: int, settings: Mapping[str, Any]
) -> tuple[Columns, GenerateSampler]:
    """Let `generate` prepare cache, positions, processors and criteria, and stop there.

    Args:
        model: The model.
        tokenizer: Its tokenizer, for stop strings.
        inputs: Arguments of the model.
        length: New columns that the cache must hold.
        settings: What a user asks for, as keyword arguments of `generate`.

    Returns:
        The prompt as it is just before its first forward, and how tokens are picked.

    Raises:
        ConfigError: The settings mean beam search, assisted decoding, or something unknown.
    """
    for name, cure in _REFUSED.items():
        if name in settings:
            raise ConfigError(f"{name} is no setting of a linked generation. {cure}")
    options = _defaults(model, tokenizer) | dict(settings)
    if strings := options.pop("stop_strings", None):
        criterion = StopStringCriteria(tokenizer, strings)
        options["stopping_criteria"] = [*options.get("stopping_criteria", ()), criterion]
    for name, kind in _LISTS.items():
        if name in options:
            options[name] = kind(options[name])
    kept: list[tuple[Columns, GenerateSampler]] = []

    def keep(
        model: Any,
        input_ids: Tensor,
        logits_processor: LogitsProcessorList,
        stopping_criteria: StoppingCriteriaList,
        generation_config: GenerationConfig,
        **arguments: Any,
    ) -> Tensor:
        _check_mode(generation_config, settings)
        criteria = [c for c in stopping_criteria if not _counts_tokens(c)]
        sampler = GenerateSampler(
            logits_processor, StoppingCriteriaList(criteria), bool(generation_config.do_sample)
        )
        arguments = {k: v for k, v in arguments.items() if k not in _NOT_OF_THE_MODEL}
        if (positions := arguments.get("position_ids")) is not None:
            arguments["position_ids"] = positions + first_position(model)
        kept.append((Columns(model, input_ids, arguments), sampler))
        return input_ids

    if "assistant_model" in options or "prompt_lookup_num_tokens" in options:
        raise ConfigError(
            "Assisted decoding writes several tokens at once, and a routing token among them would "
            f"not get its slots. Leave it out. Received: {sorted(settings)}"
        )
    try:
        model.generate(**inputs, custom_generate=keep, max_new_tokens=length, **options)
    except (ValueError, TypeError, NotImplementedError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(
            f"transformers refuses to generate with these settings: {error} Received: "
            f"settings={dict(settings)}"
        ) from error
    return kept[0]


_NOT_OF_THE_MODEL = ("streamer", "synced_gpus", "logits_to_keep", "use_cache")
_LISTS = {"logits_processor": LogitsProcessorList, "stopping_criteria": StoppingCriteriaList}


def _defaults(model: Any, tokenizer: Any) -> dict[str, Any]:
    """Greedy unless asked otherwise, and no warning where no padding token is configured."""
    options: dict[str, Any] = {"do_sample": False}
    if getattr(model.generation_config, "pad_token_id", None) is None:
        pad = tokenizer.pad_token_id
        options["pad_token_id"] = tokenizer.eos_token_id if pad is None else pad
    return options


def _check_mode(config: GenerationConfig, settings: Mapping[str, Any]) -> None:
    mode = config.get_generation_mode()
    if mode not in _MODES:
        raise ConfigError(
            "A linked model writes greedily or by sampling, one token a step: beams would write "
            "other routes than the one that is kept in the end. Give num_beams=1. Received: "
            f"{mode.value}, settings={dict(settings)}"
        )


def _counts_tokens(criterion: Any) -> bool:
    """Rows count their own tokens, and end tokens are looked after by the loop."""
    return isinstance(criterion, MaxLengthCriteria) or hasattr(criterion, "eos_token_id")
