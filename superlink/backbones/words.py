"""A tokenizer for models that are trained from nothing: whole words, and bytes for all else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import files

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

__all__ = ["CHAT_TEMPLATE", "IMAGE_TOKEN", "build_tokenizer"]

IMAGE_TOKEN = "<image>"
_SPECIALS = ["<pad>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>", IMAGE_TOKEN]

CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
"""The chat template of the built-in model."""


_PIECE = r"\p{L}+|\p{N}|[^\p{L}\p{N}\s]\s?|\s"


def build_tokenizer(
    extra_words: Sequence[str] = (), phrases: Sequence[str] = ()
) -> PreTrainedTokenizerFast:
    """A byte-level BPE in which each known word is one token, with or without a blank before it.

    A blank is a token of its own, or part of the punctuation before it, so that a word has the
    same id wherever it stands: that is what lets a tiny model learn to copy.

    Args:
        extra_words: Words to know beside the built-in list.
        phrases: Several words that are one token together, as `left knee`.
    """
    listed = files(__package__).joinpath("words.txt").read_text(encoding="utf-8").split()
    words = sorted({*listed, *(word for text in extra_words for word in text.split())})
    words += [word.capitalize() for word in words if word.islower()]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex("|".join([*_whole(phrases), _PIECE])), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=100_000,  # no limit: merging ends when each word is whole
        special_tokens=[AddedToken(token, special=True) for token in _SPECIALS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*words, *sorted(set(phrases)), ", . ? : ! ; "], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<|end|>",
        extra_special_tokens={"image_token": IMAGE_TOKEN},
    )


def _whole(phrases: Sequence[str]) -> list[str]:
    """Patterns that find phrases where no word goes on before or behind them, longer ones first."""
    longest_first = sorted(set(phrases), key=lambda text: (-len(text), text))
    return [rf"(?<!\p{{L}}){re.escape(text)}(?!\p{{L}})" for text in longest_first]
