"""The contract of a multimodal LLM: tokens + pixels -> last hidden states + logits. It says nothing
of decoders."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from PIL import Image
from torch import Tensor, nn

from .structures import BackboneOutput, ImageFeatures, Message

__all__ = ["Backbone"]

Inputs = Mapping[str, Tensor]


class Backbone(nn.Module, ABC):
    """Base of all multimodal LLMs that can carry super links.

    The link adds its tokens by hooks on `embedding_modules()` and `output_head()`; a backbone never
    sees them but as ids, and its own tables stay as they are.
    """

    hidden_size: int
    """Width C of the last hidden states."""
    vocab_size: int
    """Rows of the output head, before any link."""

    @abstractmethod
    def add_tokens(self, tokens: Sequence[str]) -> list[int]:
        """Make each of `tokens` one id of the tokenizer, and return the ids. Known tokens keep
        theirs."""

    @abstractmethod
    def forget_tokens(self) -> None:
        """Undo `add_tokens`: text is read again as the bare tokenizer reads it."""

    @abstractmethod
    def special_tokens(self) -> Sequence[str]:
        """Every string that the tokenizer or the processor treats as control, image placeholders
        included."""

    @abstractmethod
    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool = False) -> str:
        """The conversation as one text under the chat template, one placeholder for each image."""

    @abstractmethod
    def encode(
        self,
        texts: Sequence[str],
        images: Sequence[Sequence[Image.Image]],
        *,
        padding_side: Literal["left", "right"] = "right",
    ) -> dict[str, Tensor]:
        """Rendered texts and their images as inputs of `forward`: `input_ids` (B, T),
        `attention_mask` (B, T), pixels."""

    @abstractmethod
    def tokenize(self, text: str) -> list[int]:
        """The ids of a piece of text, nothing added."""

    @abstractmethod
    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, special tokens included."""

    @abstractmethod
    def eos_ids(self) -> frozenset[int]:
        """The ids that end an answer."""

    @abstractmethod
    def embedding_modules(self) -> Sequence[nn.Module]:
        """Every module that looks input ids up, tied copies included."""

    @abstractmethod
    def output_head(self) -> nn.Module:
        """The module whose input is the last hidden state and whose output are the logits."""

    @abstractmethod
    def forward(
        self,
        inputs: Inputs,
        *,
        cache: Any = None,
        use_cache: bool = False,
        image_features: ImageFeatures | None = None,
        logits_to_keep: int = 0,
    ) -> BackboneOutput:
        """Run the model.

        Args:
            inputs: What `encode` gave. With a `cache`, only the new columns: `input_ids` (B, W) and
                `attention_mask` (B, W), in which 0 marks a hole: it takes no position, and no later
                token attends to it.
            cache: `BackboneOutput.cache` of the forward before.
            use_cache: Whether to return a cache for the next step.
            image_features: What `image_features` gave for the same inputs; the image encoder is
                then not run again.
            logits_to_keep: Only so many last positions get logits and states; 0 means all.
        """

    def image_features(self, inputs: Inputs) -> ImageFeatures | None:
        """Run the image encoder alone. None where the backbone cannot, or where there is no
        image."""
        return None

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write weights, config and processor into an existing folder, as safetensors and JSON."""
