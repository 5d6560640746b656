"""The sampler of transformers: its processors of logits and its stopping criteria, as `generate`
makes them of a model's generation config and of what a user asks for."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import (
    EosTokenCriteria,
    GenerationConfig,
    LogitsProcessorList,
    MaxLengthCriteria,
    StaticCache,
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
    "assistant_model": "Assisted decoding writes several tokens at once, and a routing token among "
    "them would not get its slots.",
    "prompt_lookup_num_tokens": "Assisted decoding writes several tokens at once, and a routing "
    "token among them would not get its slots.",
    "max_length": "Give max_new_tokens, which does not count the prompt.",
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
    sized: bool = False
    """Whether `length` counts the slots of every route that may come."""
    sampler: GenerateSampler | None = None
    """Known once the forward has run."""
    eos_ids: frozenset[int] | None = None
    """What ends an answer, where the settings say so."""


def prepare_prompt(model: Any, tokenizer: Any, inputs: Mapping[str, Any], start: Start) -> Columns:
    """Let `generate` prepare cache, positions, processors and criteria, and stop there.

    Args:
        model: The model.
        tokenizer: Its tokenizer, for stop strings.
        inputs: Arguments of the model.
        start: What is asked for; gets the sampler and the end tokens.

    Returns:
        The prompt as it is just before its first forward.

    Raises:
        ConfigError: The settings mean beam search, assisted decoding, a static cache whose length
            nobody can tell, or something unknown.
    """
    settings = start.settings
    for name, cure in _REFUSED.items():
        if name in settings:
            raise ConfigError(f"{name} is no setting of a linked generation. {cure}")
    kept: list[Columns] = []

    def keep(
        model: Any,
        input_ids: Tensor,
        logits_processor: LogitsProcessorList,
        stopping_criteria: StoppingCriteriaList,
        generation_config: GenerationConfig,
        **arguments: Any,
    ) -> Tensor:
        _check_mode(generation_config, settings)
        _check_cache(arguments.get("past_key_values"), start)
        criteria = [c for c in stopping_criteria if type(c) not in _OF_THE_LOOP]
        start.sampler = GenerateSampler(
            logits_processor, StoppingCriteriaList(criteria), bool(generation_config.do_sample)
        )
        if {"eos_token_id", "generation_config"} & {*settings}:
            start.eos_ids = _ids(generation_config.eos_token_id)
        arguments = {k: v for k, v in arguments.items() if k not in _NOT_OF_THE_MODEL}
        if (positions := arguments.get("position_ids")) is not None:
            arguments["position_ids"] = positions + first_position(model)
        kept.append(Columns(model, input_ids, arguments))
        return input_ids

    try:
        options = _options(model, tokenizer, settings)
        model.generate(**inputs, custom_generate=keep, max_new_tokens=start.length, **options)
    except ConfigError:
        raise
    except (ValueError, TypeError, AttributeError, NotImplementedError) as error:
        if kept or not settings:
            raise
        raise ConfigError(
            f"transformers refuses to generate with these settings: {error} Received: "
            f"settings={dict(settings)}"
        ) from error
    return kept[0]


_NOT_OF_THE_MODEL = ("streamer", "synced_gpus", "logits_to_keep", "use_cache")
_OF_THE_LOOP = (MaxLengthCriteria, EosTokenCriteria)
"""Rows count their own tokens, and end tokens are looked after by the loop."""


def _options(model: Any, tokenizer: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as `generate` takes them: greedy unless asked otherwise, lists of its own kinds,
    and stop strings as a criterion, since it hands no tokenizer on."""
    options = dict(settings)
    if "generation_config" in options:
        options["generation_config"] = copy.deepcopy(options["generation_config"])
    else:
        options.setdefault("do_sample", False)
    if getattr(model.generation_config, "pad_token_id", None) is None:
        pad = tokenizer.pad_token_id
        options.setdefault("pad_token_id", tokenizer.eos_token_id if pad is None else pad)
    config = options.get("generation_config", model.generation_config)
    strings = options.pop("stop_strings", None) or getattr(config, "stop_strings", None)
    criteria = list(options.get("stopping_criteria") or ())
    if strings:
        criteria.append(StopStringCriteria(tokenizer, strings))
        options["stop_strings"] = None
    options["stopping_criteria"] = StoppingCriteriaList(criteria)
    options["logits_processor"] = LogitsProcessorList(options.get("logits_processor") or ())
    return options


def _ids(value: Any) -> frozenset[int]:
    values = value if isinstance(value, list | tuple) else [value]
    return frozenset(int(i) for i in values if i is not None)


def _check_cache(cache: Any, start: Start) -> None:
    if isinstance(cache, StaticCache) and not start.sized:
        raise ConfigError(
            "A static cache has room for a number of routes that is known before. Give max_routes "
            f"too. Received: {dict(start.settings)}"
        )


def _check_mode(config: GenerationConfig, settings: Mapping[str, Any]) -> None:
    mode = config.get_generation_mode()
    if mode not in _MODES:
        raise ConfigError(
            "A linked model writes greedily or by sampling, one token a step: beams would write "
            "other routes than the one that is kept in the end. Give num_beams=1. Received: "
            f"{mode.value}, settings={dict(settings)}"
        )
