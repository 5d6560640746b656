"""What a model and a processor must have to become a backbone."""

from __future__ import annotations

from typing import Any

from ..errors import BackboneError, ConfigError

__all__ = ["check_model", "check_processor", "context_length"]


def check_model(model: Any) -> None:
    """Raise `BackboneError` where a model cannot carry a link."""
    if getattr(model, "get_output_embeddings", lambda: None)() is None:
        raise BackboneError(
            "A backbone needs an output head, to write text and to read its last hidden state. "
            f"Received: {type(model).__name__}, whose get_output_embeddings() gives none."
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
    rows = model.get_input_embeddings().weight.shape[0]
    if len(processor.tokenizer) > rows:
        raise _mismatch(model, f"a tokenizer of {len(processor.tokenizer)} tokens for {rows} rows")
    expected = _image_id(model.config)
    token = getattr(processor, "image_token", None)
    if expected is None or not isinstance(token, str):
        return
    given = processor.tokenizer.convert_tokens_to_ids(token)
    if given != expected:
        raise _mismatch(model, f"{token!r} with the id {given}, where the model expects {expected}")


def context_length(model: Any) -> int | None:
    """Tokens that the language model reads at most, as its config says."""
    length = getattr(model.config.get_text_config(decoder=True), "max_position_embeddings", None)
    return length if isinstance(length, int) and length > 0 else None


def _image_id(config: Any) -> int | None:
    ids = (getattr(config, name, None) for name in ("image_token_id", "image_token_index"))
    return next((i for i in ids if isinstance(i, int)), None)


def _mismatch(model: Any, what: str) -> ConfigError:
    return ConfigError(
        f"The processor belongs to another model than {type(model).__name__}. Received: {what}. "
        "Load both from the same source."
    )
