"""Where the parts of a model of transformers are that a link needs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, cast

from torch import Tensor, nn

__all__ = [
    "accepted",
    "context_length",
    "first_position",
    "image_id",
    "input_embedding",
    "output_head",
    "side_embeddings",
    "tied_embeddings",
]

_BEHIND_PADDING = ("kosmos-2", "kosmos_2_text_model", "kosmos-2.5", "kosmos_2_5_text_model")
"""Models whose own rule counts positions from behind the padding id; `generate`'s starts at 0.
Source: `create_position_ids_from_input_ids` of fairseq."""


def output_head(model: Any) -> nn.Module | None:
    """The module between last hidden state and logits; of an inner model where the outer one names
    none."""
    heads = (getattr(m, "get_output_embeddings", lambda: None)() for m in _models(model))
    return next((head for head in heads if isinstance(head, nn.Module)), None)


def input_embedding(model: Any) -> nn.Module:
    """The module that looks text up."""
    for inner in (model, model.get_decoder()):
        try:
            embedding: nn.Module = inner.get_input_embeddings()
            return embedding
        except NotImplementedError:
            continue
    raise AttributeError(f"{type(model).__name__} names no input embedding")


def tied_embeddings(model: nn.Module, main: nn.Module) -> list[nn.Module]:
    """Other embeddings that have the same weight."""
    others = (m for m in model.modules() if isinstance(m, nn.Embedding) and m is not main)
    return [module for module in others if module.weight is main.weight]


def side_embeddings(model: nn.Module, main: nn.Module) -> list[nn.Module]:
    """Other tables of the whole vocabulary: those that some models have for each layer."""
    rows = cast(Tensor, main.weight).shape[0]  # of peft's wrapper no parameter
    tied = {id(main), *map(id, tied_embeddings(model, main))}
    tables = (m for m in model.modules() if isinstance(m, nn.Embedding) and id(m) not in tied)
    return [module for module in tables if module.num_embeddings == rows]


def context_length(model: Any) -> int | None:
    """Tokens that the language model reads at most, as its config says."""
    length = getattr(model.config.get_text_config(decoder=True), "max_position_embeddings", None)
    return length if isinstance(length, int) and length > 0 else None


def image_id(config: Any) -> int | None:
    """The id that stands for a piece of an image; None where images have no place in the text."""
    ids = (getattr(config, name, None) for name in ("image_token_id", "image_token_index"))
    return next((i for i in ids if isinstance(i, int)), None)


def first_position(model: Any) -> int:
    """The position of the first token."""
    if model.config.model_type not in _BEHIND_PADDING:
        return 0
    return int(model.config.get_text_config().pad_token_id) + 1


def accepted(model: nn.Module) -> frozenset[str]:
    """The names of what `forward` takes."""
    return _parameters(type(model).forward)


@cache
def _parameters(forward: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(forward).parameters)


def _models(model: Any) -> Iterator[Any]:
    """A model, then the models inside of it."""
    yield from (m for m in model.modules() if m is model or hasattr(m, "get_output_embeddings"))
