"""The contract of a multimodal LLM: tokens + pixels -> last hidden states + logits. It says nothing
of decoders."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from PIL import Image
from torch import Tensor, nn

from ..errors import BackboneError
from .lora import LoraChoice
from .regions import Mask
from .sampling import PlainSampler, Prefill
from .structures import BackboneOutput, ImageFeatures, Message

__all__ = ["Backbone", "keep_columns"]

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
    context_length: int | None = None
    """Tokens that one conversation may have at most; None where there is no limit."""
    spec_name: str | None = None
    """Name of the `BackboneSpec` that builds it again from a folder that `save` wrote. Where there
    is none, a model that was handed in as an object cannot be saved."""
    grid_width: int | None = None
    """Width of the cells in `ImageFeatures.grids`; None where the backbone tells none."""
    revision: str | None = None
    """Commit of the source that the weights come from, where it is known."""

    @abstractmethod
    def add_tokens(self, tokens: Sequence[str]) -> list[int]:
        """Make each of `tokens` one id of the tokenizer, and return the ids. Known tokens keep
        theirs; new ids may lie beyond the tables, which stay as they are."""

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

    def side_embeddings(self) -> Sequence[nn.Module]:
        """Modules that look the same ids up for something else than the input, such as a table of
        each layer. Linked ids read the row of id 0 there."""
        return ()

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
        logits_to_keep: int | Tensor = 0,
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
            logits_to_keep: Only so many last positions get logits and states, or only those at the
                indices (K,); 0 means all. `keep_columns` does either.
        """

    def prefill(
        self,
        inputs: Inputs,
        *,
        image_features: ImageFeatures | None = None,
        max_new_tokens: int = 128,
        room: int | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Prefill:
        """Run the prompt, and say how tokens are picked from then on.

        Args:
            inputs: From `encode` with `padding_side="left"`.
            image_features: Of the same inputs, where they are known already.
            max_new_tokens: Tokens that will be written at most.
            room: Slots that will be fed at most beside them; None where nobody knows.
            settings: How tokens are picked, with the names of transformers' `generate`.

        Raises:
            ConfigError: A setting is unknown to this backbone.
        """
        sampler = PlainSampler.from_settings(settings or {})
        out = self(inputs, use_cache=True, image_features=image_features, logits_to_keep=1)
        return Prefill(out, sampler)

    def used_positions(self, inputs: Inputs) -> Tensor:
        """How many positions of the context each row takes, (B,)."""
        return inputs["attention_mask"].sum(1)

    def block_safe(self, cache: Any, width: int) -> bool:
        """Whether `width` new columns with holes in them give what each row gives alone.

        False where a cache has state that knows no mask: linear attention, or a sliding window
        that holes would fill. Slots then enter one by one.
        """
        return True

    def image_features(self, inputs: Inputs) -> ImageFeatures | None:
        """Run the image encoder alone. None where the backbone cannot, or where there is no
        image."""
        return None

    def region_shares(self, image: Image.Image, masks: Sequence[Mask]) -> Tensor:
        """How much of each cell of an image each of `masks` covers.

        The cells are those of `ImageFeatures.grids`, and the image goes the way that `encode` takes
        it: resized, padded, cropped or cut into tiles.

        Args:
            image: As `encode` gets it.
            masks: R regions (H, W) of it, true inside.

        Returns:
            (R, P) from 0 to 1.

        Raises:
            BackboneError: The backbone tells no grids.
        """
        raise BackboneError(
            f"{type(self).__name__} tells no grids of its image encoder. Implement `grid_width`, "
            "`region_shares` and `ImageFeatures.grids`."
        )

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write weights, config and processor into an existing folder, as safetensors and JSON. An
        adapter is left out."""

    def add_lora(self, choice: LoraChoice) -> None:
        """Put LoRA on the language model, and freeze all else of the backbone.

        Raises:
            BackboneError: The backbone knows no LoRA.
        """
        raise BackboneError(
            f"{type(self).__name__} has no LoRA. Leave `lora` out, or implement `add_lora`, "
            "`base_state_dict`, `save_adapter` and `load_adapter`."
        )

    def layer_classes(self) -> Sequence[str]:
        """Names of the classes of the LLM's layers, which engines such as FSDP shard one by one.

        They must run once in each forward. Without any the LLM is one piece.
        """
        return ()

    def checkpoint_activations(self, wanted: bool) -> None:
        """Compute the activations of the LLM's layers anew in the backward pass, or keep them.

        Raises:
            BackboneError: The backbone cannot.
        """
        if wanted:
            raise BackboneError(
                f"{type(self).__name__} cannot compute activations anew. Leave "
                "`gradient_checkpointing` out, or implement `checkpoint_activations`."
            )

    def has_adapter(self) -> bool:
        """Whether there is LoRA on the language model."""
        return False

    def remove_lora(self, *, merge: bool = False) -> None:
        """Take off what `add_lora` or `load_adapter` put on; with `merge` its updates go into the
        weights first."""

    def base_state_dict(self) -> dict[str, Tensor]:
        """The weights without an adapter, under the names that they have without one."""
        return self.state_dict()

    def save_adapter(self, folder: Path) -> bool:
        """Write the adapter alone into `folder`, as safetensors and JSON; False where there is
        none."""
        return False

    def load_adapter(self, folder: Path) -> None:
        """Put the adapter that `save_adapter` wrote on the backbone."""
        raise BackboneError(f"{type(self).__name__} cannot load the adapter in {folder}.")


def keep_columns(values: Tensor, logits_to_keep: int | Tensor) -> Tensor:
    """The columns of (B, T, ...) that `Backbone.forward` is asked for: the last ones, 0 for all, or
    those at the indices (K,)."""
    last = isinstance(logits_to_keep, int)
    return values[:, slice(-logits_to_keep, None) if last else logits_to_keep]
