"""Any image-text-to-text model of transformers as a backbone, without subclassing it."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import (
    AddedToken,
    AutoModelForImageTextToText,
    AutoProcessor,
    PreTrainedModel,
    ProcessorMixin,
)

from ..errors import BackboneError, ConfigError, InputError, RoutingError
from ..interfaces import Backbone, BackboneOutput, ImageFeatures, ImagePart, Message
from ..link import StateTap

__all__ = ["TransformersBackbone", "TransformersConfig", "build_backbone"]


class TransformersConfig(BaseModel):
    """Where a model of transformers comes from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    """Hub id, or a folder with a saved model and processor."""
    revision: str | None = None
    """Commit or tag on the Hub."""
    dtype: Literal["float32", "bfloat16", "float16", "auto"] = "auto"
    """Precision of the weights."""
    attn_implementation: str | None = Field(default=None, description="sdpa, eager, ...")
    """Attention kernel; None takes the library's choice."""


def build_backbone(config: TransformersConfig) -> TransformersBackbone:
    """Load a model and its processor.

    Raises:
        BackboneError: There is none at `config.source`, or not as safetensors.
    """
    options: dict[str, Any] = {"revision": config.revision}
    try:
        processor = AutoProcessor.from_pretrained(config.source, **options)
        if config.attn_implementation is not None:
            options["attn_implementation"] = config.attn_implementation
        model = AutoModelForImageTextToText.from_pretrained(
            config.source, dtype=config.dtype, use_safetensors=True, **options
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise BackboneError(
            "Expected the Hub id or the folder of an image-text-to-text model with safetensors and "
            f"its processor. Received: source={config.source!r}. {error}"
        ) from error
    return TransformersBackbone(model, processor)


@dataclass
class _Cache:
    """Key-value cache with what transformers keeps outside of it."""

    past: Any
    attention_mask: Tensor
    """(B, T) 0 at padding and holes."""
    last_position: Tensor
    """(..., B, 1) position of the last real token; several axes where the model rotates by them."""


class TransformersBackbone(Backbone):
    """Adapter of a transformers model and its processor.

    Args:
        model: An image-text-to-text model; it is used as it is.
        processor: Its processor, with a chat template.

    Raises:
        ConfigError: There is no processor, or it lacks a tokenizer or a chat template.
        BackboneError: The model has no output head.
    """

    def __init__(self, model: PreTrainedModel, processor: ProcessorMixin) -> None:
        super().__init__()
        parts = ("tokenizer", "chat_template")
        if any(getattr(processor, part, None) is None for part in parts):
            raise ConfigError(
                "A transformers model needs its processor, as AutoProcessor gives it, with a "
                f"tokenizer and a chat template. Received: model={type(model).__name__}, "
                f"processor={type(processor).__name__}"
            )
        if getattr(model, "get_output_embeddings", lambda: None)() is None:
            raise BackboneError(
                "A backbone needs an output head, to write text and to read its last hidden state. "
                f"Received: {type(model).__name__}, whose get_output_embeddings() gives none."
            )
        # transformers types few of the attributes that its models share
        self.model: Any = model
        # A copy, as tokens are added to it; whoever handed the processor in keeps it as it is.
        self._bare_processor: Any = processor
        self.processor: Any = copy.deepcopy(processor)
        self.tokenizer: Any = self.processor.tokenizer
        self._embeddings: tuple[nn.Module, ...] = ()
        self.vocab_size, self.hidden_size = self.output_head().get_parameter("weight").shape

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
        self.processor = copy.deepcopy(self._bare_processor)
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
        text = self.processor.apply_chat_template(
            conversation, add_generation_prompt=add_generation_prompt, tokenize=False
        )
        return str(text)

    def encode(
        self,
        texts: Sequence[str],
        images: Sequence[Sequence[Image.Image]],
        *,
        padding_side: Literal["left", "right"] = "right",
    ) -> dict[str, Tensor]:
        """See `Backbone.encode`."""
        flat = [image for row in images for image in row]
        try:
            inputs = self.processor(
                text=list(texts),
                images=flat or None,
                padding=True,
                padding_side=padding_side,
                add_special_tokens=False,
                return_tensors="pt",
            )
        except ValueError as error:
            sizes = [image.size for image in flat]
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

    def eos_ids(self) -> frozenset[int]:
        """See `Backbone.eos_ids`."""
        configured = getattr(self.model.generation_config, "eos_token_id", None)
        ids = configured if isinstance(configured, list) else [configured]
        return frozenset(i for i in [*ids, self.tokenizer.eos_token_id] if i is not None)

    def embedding_modules(self) -> list[nn.Module]:
        """The input embedding, and every other embedding that has the same weight."""
        main = self.model.get_input_embeddings()
        if not self._embeddings or self._embeddings[0] is not main:
            # Kept, as each forward asks and walking all modules costs more than a small layer.
            tied = (
                m for m in self.model.modules() if isinstance(m, nn.Embedding) and m is not main
            )
            self._embeddings = (main, *(m for m in tied if m.weight is main.weight))
        return list(self._embeddings)

    def output_head(self) -> nn.Module:
        """See `Backbone.output_head`."""
        head: nn.Module = self.model.get_output_embeddings()
        return head

    def forward(
        self,
        inputs: Mapping[str, Tensor],
        *,
        cache: _Cache | None = None,
        use_cache: bool = False,
        image_features: ImageFeatures | None = None,
        logits_to_keep: int = 0,
    ) -> BackboneOutput:
        """See `Backbone.forward`."""
        arguments: dict[str, Any] = dict(inputs)
        if cache is None:
            # The model's own rule, which knows about padding and about positions in images.
            positions = self.model._prepare_position_ids_for_generation(
                arguments["input_ids"], dict(arguments)
            )
        else:
            keep = arguments["attention_mask"]
            arguments["attention_mask"] = torch.cat([cache.attention_mask, keep], dim=1)
            positions = cache.last_position + keep.cumsum(1)
        if image_features is not None and cache is None:
            arguments = {k: v for k, v in arguments.items() if k != "pixel_values"}
            arguments["mm_encoder_outputs"] = {"image": image_features.raw}
        head = self.output_head()
        with StateTap().on(head) as tap:
            out = self.model(
                **arguments,
                position_ids=positions,
                past_key_values=None if cache is None else cache.past,
                use_cache=use_cache,
                logits_to_keep=logits_to_keep,
                return_dict=True,
            )
        kept = None
        if use_cache:
            last = positions[..., -1:]
            kept = _Cache(out.past_key_values, arguments["attention_mask"], last)
        return BackboneOutput(tap.states, out.logits, kept)

    def image_features(self, inputs: Mapping[str, Tensor]) -> ImageFeatures | None:
        """Run the image encoder alone; its maps are the hidden states that are maps."""
        if "pixel_values" not in inputs:
            return None
        visual = {
            key: value
            for key, value in inputs.items()
            if key not in ("input_ids", "attention_mask", "mm_token_type_ids", "token_type_ids")
        }
        raw = self.model.get_image_features(**visual, output_hidden_states=True, return_dict=True)
        maps = tuple(state for state in raw.hidden_states or () if state.dim() == 4)
        return ImageFeatures(maps=maps, raw=raw)

    def save(self, folder: Path) -> None:
        """See `Backbone.save`."""
        self.model.save_pretrained(folder, safe_serialization=True)
        self.processor.save_pretrained(folder)


def _part(part: str | ImagePart) -> dict[str, str]:
    return {"type": "text", "text": part} if isinstance(part, str) else {"type": "image"}
