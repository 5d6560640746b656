"""One tokenizer with the special tokens of all families, and the ids that configurations want."""

from __future__ import annotations

import re
from typing import Any

from transformers import PreTrainedTokenizerFast

from ...backbones.words import build_tokenizer

__all__ = ["is_token_field", "tiny_tokenizer", "token_field"]

_ROLES = (
    *("video", "audio", "vision_start", "vision_end", "image_start", "image_end"),
    *("video_start", "video_end", "audio_start", "audio_end", "frame_start", "frame_end"),
    *("boi", "eoi", "boa", "eoa", "im_start", "im_end", "im_newline", "image_patch"),
    *("low_res_image_start", "image_bos", "audio_bos", "mask", "fake_image"),
    *(f"visual_indicator_{i}" for i in range(5)),
    *("other", "endoftext"),
)
"""Roles of the tokens `<|role|>`; `other` stands in for each role that is not listed, and Qwen's
tokenizers bring `endoftext` in any case."""

_FIELD = re.compile(r"_?(?P<role>.+?)(_token)?_(id|index|ids)")
_END = ("eos", "forced_eos", "eod", "sep", "bos", "forced_bos")


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of whole words with every special token that some family needs."""
    tokenizer = build_tokenizer()
    tokenizer.add_tokens([f"<|{role}|>" for role in _ROLES], special_tokens=True)
    return tokenizer


def is_token_field(name: str) -> bool:
    """Whether a field of a configuration holds ids of tokens."""
    listed = re.fullmatch(r"im(age)?_(start|end|newline|patch)_id", name)
    return listed is not None or re.fullmatch(r".+_token_(id|index|ids)", name) is not None


def token_field(name: str, value: Any, tokenizer: PreTrainedTokenizerFast) -> Any:
    """Ids of real tokens in place of a configured value, which keeps its shape."""
    match = _FIELD.fullmatch(name)
    role = match["role"] if match else name
    if value is None and role not in ("image", "pad", "eos"):
        return None
    if not isinstance(value, (list, tuple)):
        return _token_id(role, tokenizer)
    if role in _END:
        return [_token_id(role, tokenizer)]
    return [_token_id(f"{role}_{i}", tokenizer) for i in range(len(value))]


def _token_id(role: str, tokenizer: PreTrainedTokenizerFast) -> int:
    """Id of the token with a role; ends of text share one, as in many tokenizers."""
    vocabulary = tokenizer.get_vocab()
    if role == "image":
        return int(vocabulary[str(tokenizer.image_token)])
    if role in ("pad", "decoder_start"):
        return int(vocabulary[str(tokenizer.pad_token)])
    other = int(vocabulary[str(tokenizer.eos_token)])
    if role not in _END:
        other = int(vocabulary.get("<|other|>", other))
    return int(vocabulary.get(f"<|{role}|>", other))
