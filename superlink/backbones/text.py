"""The text half of a backbone of transformers: its tokenizer, chat template and processor."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Literal

from jinja2 import TemplateError
from PIL import Image
from torch import Tensor
from transformers import AddedToken

from ..errors import InputError, RoutingError
from ..interfaces import REGION_MARK, Backbone, ImagePart, Message, Part

__all__ = ["TextOfProcessor"]


class TextOfProcessor(Backbone):
    """What a backbone says and reads, by a processor of transformers.

    Args:
        processor: With a tokenizer and a chat template.
    """

    def __init__(self, processor: Any) -> None:
        super().__init__()
        # A copy, as tokens are added to it; whoever handed the processor in keeps it as it is.
        self.bare_processor: Any = processor
        self.processor: Any = copy.deepcopy(processor)
        self.tokenizer: Any = self.processor.tokenizer
        self.ends = _special_ends(self.tokenizer)

    def add_tokens(self, tokens: Sequence[str]) -> list[int]:
        """See `Backbone.add_tokens`."""
        added = [AddedToken(token, special=True, normalized=False) for token in tokens]
        self.tokenizer.add_tokens(added, special_tokens=True)
        for token in tokens:
            ids = self.tokenizer.encode(token, add_special_tokens=False)
            if len(ids) != 1:
                raise RoutingError(
                    f"Each control token must be one id. Received: {token} encodes to {ids}. Use a "
                    "fast tokenizer, or one that keeps added tokens whole."
                )
        return [int(i) for i in self.tokenizer.convert_tokens_to_ids(list(tokens))]

    def forget_tokens(self) -> None:
        """See `Backbone.forget_tokens`."""
        self.processor = copy.deepcopy(self.bare_processor)
        self.tokenizer = self.processor.tokenizer

    def special_tokens(self) -> list[str]:
        """See `Backbone.special_tokens`."""
        image = getattr(self.processor, "image_token", None) or ""
        added = [token.content for token in self.tokenizer.added_tokens_decoder.values()]
        # some tokenizers add runs of blanks, which control nothing
        return [token for token in dict.fromkeys((*added, image)) if token.strip()]

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool = False) -> str:
        """See `Backbone.render`."""
        conversation = [
            {"role": message.role, "content": [_part(part) for part in message.parts]}
            for message in messages
        ]
        try:
            text = self.processor.apply_chat_template(
                conversation, add_generation_prompt=add_generation_prompt, tokenize=False
            )
        except TemplateError as error:
            raise InputError(
                f"The chat template of the backbone refuses a conversation: {error}. Some know no "
                "message of the system, or want questions and answers to take turns. "
                f"Received: {[message.role for message in messages]}"
            ) from error
        return str(text)

    def encode(
        self,
        texts: Sequence[str],
        images: Sequence[Sequence[Image.Image]],
        *,
        padding_side: Literal["left", "right"] = "right",
    ) -> dict[str, Tensor]:
        """See `Backbone.encode`."""
        nested = [list(row) for row in images]  # some processors deal flat lists to wrong rows
        begin = self.ends[0]
        try:
            inputs = self.processor(
                # As transformers' own templates: what the tokenizer puts in front comes once.
                text=[text if text.startswith(begin) else begin + text for text in texts],
                images=nested if any(nested) else None,
                padding=True,
                padding_side=padding_side,
                add_special_tokens=False,
                return_tensors="pt",
            )
        except ValueError as error:
            sizes = [image.size for row in nested for image in row]
            raise InputError(
                f"{type(self.processor).__name__} cannot process a batch: {error} Received: images "
                f"of (width, height) {sizes}. Resize or pad those that it refuses."
            ) from error
        return dict(inputs)

    def tokenize(self, text: str) -> list[int]:
        """See `Backbone.tokenize`."""
        return [int(i) for i in self.tokenizer.encode(text, add_special_tokens=False)]

    def decode(self, ids: Sequence[int]) -> str:
        """See `Backbone.decode`."""
        text = self.tokenizer.decode(
            list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return str(text)


def _part(part: Part) -> dict[str, str]:
    if isinstance(part, ImagePart):
        return {"type": "image"}
    return {"type": "text", "text": part if isinstance(part, str) else REGION_MARK}


def _special_ends(tokenizer: Any) -> tuple[str, str]:
    """What a tokenizer puts in front of a text by itself, and behind it."""
    bare = tokenizer.encode("a", add_special_tokens=False)
    whole = tokenizer.encode("a", add_special_tokens=True)
    starts = (i for i in range(len(whole)) if whole[i : i + len(bare)] == bare)
    start = next(starts, None) if bare else None
    if start is None:
        return "", ""
    front, behind = whole[:start], whole[start + len(bare) :]
    begin, end = ("".join(tokenizer.convert_ids_to_tokens(ids)) for ids in (front, behind))
    return begin, end
