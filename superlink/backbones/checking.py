"""What a model and a processor must have to become a backbone."""

from __future__ import annotations

from typing import Any

from transformers import GenerationMixin

from ..errors import BackboneError, ConfigError
from .anatomy import image_id, input_embedding, output_head

__all__ = ["check_model", "check_processor"]

_REFUSED = {
    "blip": "its text decoder is given neither a cache nor positions, so that padding moves words",
    "inkling2": "it cuts its logits behind the head, so that routing tokens have none",
}
"""Models by their type that would be wrong without a word."""


def check_model(model: Any) -> None:
    """Raise `BackboneError` where a model cannot carry a link."""
    name = type(model).__name__
    if not hasattr(model, "modules") or output_head(model) is None:
        raise BackboneError(
            "A backbone needs an output head, to write text and to read its last hidden state. "
            f"Received: {name}, whose get_output_embeddings() gives none."
        )
    if not issubclass(type(model), GenerationMixin):
        raise BackboneError(
            "A backbone writes one token after the other, and slots follow a routing token. "
            f"Received: {name}, which has no `generate` of transformers."
        )
    if reason := _REFUSED.get(model.config.model_type):
        raise BackboneError(
            f"{name} cannot carry a link: {reason}. Choose another model; `superlink verify --all` "
            "tells which are exact."
        )


def check_processor(model: Any, processor: Any) -> None:
    """Raise `ConfigError` where a processor is none, lacks a part, or belongs to another model."""
    parts = ("tokenizer", "chat_template")
    if any(getattr(processor, part, None) is None for part in parts):
        raise ConfigError(
            "A transformers model needs its processor, as AutoProcessor gives it, with a "
            f"tokenizer and a chat template. Received: model={type(model).__name__}, "
            f"processor={type(processor).__name__}"
        )
    rows = input_embedding(model).get_parameter("weight").shape[0]
    if len(processor.tokenizer) > rows:
        raise _mismatch(model, f"a tokenizer of {len(processor.tokenizer)} tokens for {rows} rows")
    expected = image_id(model.config)
    token = getattr(processor, "image_token", None)
    if expected is None or not isinstance(token, str):
        return
    given = processor.tokenizer.convert_tokens_to_ids(token)
    if given != expected:
        raise _mismatch(model, f"{token!r} with the id {given}, where the model expects {expected}")


def _mismatch(model: Any, what: str) -> ConfigError:
    return ConfigError(
        f"The processor belongs to another model than {type(model).__name__}. Received: {what}. "
        "Load both from the same source."
    )
