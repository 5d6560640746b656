"""Any image-text-to-text model of transformers as a backbone, without subclassing it."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from PIL import Image
from torch import Tensor, nn
from transformers import AddedToken, ProcessorMixin

from ..errors import BackboneError, ConfigError, InputError, RoutingError
from ..interfaces import (
    Backbone,
    BackboneOutput,
    ImageFeatures,
    ImagePart,
    LoraChoice,
    Message,
    Prefill,
)
from ..link import StateTap
from .checking import check_model, check_processor, context_length
from .lora import (
    add_lora,
    base_state_dict,
    has_adapter,
    load_adapter,
    remove_adapter,
    save_adapter,
    save_base,
)
from .sampling import Prompt, prepare_prompt
from .stepping import Cache, extend, is_block_safe

__all__ = ["TransformersBackbone"]


class TransformersBackbone(Backbone):
    """Adapter of a transformers model and its processor.

    Args:
        model: An image-text-to-text model, peft's wrapper of one included; it is used as it is.
        processor: Its processor, with a chat template.

    Raises:
        ConfigError: There is no processor, it lacks a tokenizer or a chat template, or it belongs
            to another model.
        BackboneError: The model has no output head.
    """

    def __init__(self, model: Any, processor: ProcessorMixin) -> None:
        super().__init__()
        if hasattr(model, "get_base_model"):  # peft works in place, below its wrapper
            model = model.get_base_model()
        check_model(model)
        check_processor(model, processor)
        # transformers types few of the attributes that its models share
        self.model: Any = model
        self._accepted = frozenset(inspect.signature(model.forward).parameters)
        # A copy, as tokens are added to it; whoever handed the processor in keeps it as it is.
        self._bare_processor: Any = processor
        self.processor: Any = copy.deepcopy(processor)
        self.tokenizer: Any = self.processor.tokenizer
        self._embeddings: tuple[nn.Module, ...] = ()
        self._trained: list[nn.Parameter] = []  # before LoRA froze them
        self.vocab_size, self.hidden_size = self.output_head().get_parameter("weight").shape
        self.context_length = context_length(model)
        self.revision = getattr(model.config, "_commit_hash", None)

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
        cache: Cache | Prompt | None = None,
        use_cache: bool = False,
        image_features: ImageFeatures | None = None,
        logits_to_keep: int | Tensor = 0,
    ) -> BackboneOutput:
        """See `Backbone.forward`."""
        width = None
        if cache is None:
            ids, arguments = self._arguments(inputs, image_features)
            arguments = self._with_positions(ids, arguments)
        elif isinstance(cache, Prompt):
            ids, arguments = cache.ids, cache.arguments
        else:
            new, keep = inputs["input_ids"], inputs["attention_mask"]
            ids, arguments = extend(self.model, cache, new, keep)
            width = new.shape[1]
        return self._run(ids, arguments, width, use_cache=use_cache, logits_to_keep=logits_to_keep)

    def prefill(
        self,
        inputs: Mapping[str, Tensor],
        *,
        image_features: ImageFeatures | None = None,
        max_new_tokens: int = 128,
        room: int | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Prefill:
        """See `Backbone.prefill`; the settings are those of transformers' `generate`.

        Raises:
            ConfigError: The settings mean beam search or assisted decoding, or a static cache whose
                length nobody can tell.
        """
        settings = settings or {}
        if room is None and settings.get("cache_implementation") == "static":
            raise ConfigError(
                "A static cache has room for a number of routes that is known before. Give "
                f"max_routes too. Received: {dict(settings)}"
            )
        ids, arguments = self._arguments(inputs, image_features)
        prompt = prepare_prompt(
            self.model,
            self.tokenizer,
            {"input_ids": ids, **arguments},
            max(max_new_tokens, 1) + (room or 0),
            settings,
        )
        # Called, not run, so that the hooks on this module see the forward.
        return Prefill(self(inputs, cache=prompt, use_cache=True, logits_to_keep=1), prompt.sampler)

    def block_safe(self, cache: Cache, width: int) -> bool:
        """See `Backbone.block_safe`."""
        return is_block_safe(cache, width)

    def _arguments(
        self, inputs: Mapping[str, Tensor], image_features: ImageFeatures | None
    ) -> tuple[Tensor, dict[str, Any]]:
        """The ids that the language model reads, and all else that the model is given."""
        arguments: dict[str, Any] = dict(inputs)
        if image_features is not None:
            arguments = {k: v for k, v in arguments.items() if k != "pixel_values"}
            arguments["mm_encoder_outputs"] = {"image": image_features.raw}
        return arguments.pop("input_ids"), arguments

    def _with_positions(self, ids: Tensor, arguments: dict[str, Any]) -> dict[str, Any]:
        """The model's own rule, which knows about padding and about positions in images."""
        if "position_ids" not in self._accepted:
            return arguments
        positions = self.model._prepare_position_ids_for_generation(ids, dict(arguments))
        return arguments | {"position_ids": positions}

    def _run(
        self,
        ids: Tensor,
        arguments: dict[str, Any],
        width: int | None,
        *,
        use_cache: bool,
        logits_to_keep: int | Tensor,
    ) -> BackboneOutput:
        """One forward over the last `width` columns; over all of them where it is None."""
        cached = width is not None  # whoever reads a cache also writes it
        arguments = arguments | {"use_cache": use_cache or cached}
        prepared = self.model.prepare_inputs_for_generation(
            ids, next_sequence_length=width, is_first_iteration=not cached, **arguments
        )
        if "logits_to_keep" in self._accepted:
            prepared["logits_to_keep"] = logits_to_keep
        with StateTap().on(self.output_head()) as tap:
            out = self.model(**prepared, return_dict=True)
        states, logits = tap.states, out.logits
        if "logits_to_keep" not in self._accepted:
            states, logits = (_kept(value, logits_to_keep) for value in (states, logits))
        kept = None
        if use_cache:
            out.logits = None  # long, and nothing of the next step
            kept = Cache(ids, arguments, out)
        return BackboneOutput(states, logits, kept)

    def image_features(self, inputs: Mapping[str, Tensor]) -> ImageFeatures | None:
        """Run the image encoder alone; its maps are the hidden states that are maps.

        Raises:
            BackboneError: The model cannot take back what its image encoder gave.
        """
        if "pixel_values" not in inputs:
            return None
        if not self.model._supports_mm_encoder_outputs():
            raise BackboneError(
                "A decoder shares the feature maps of the backbone's image encoder. Received: "
                f"{type(self.model).__name__}, which runs its image encoder in each forward and "
                "takes no features. Choose a decoder with an encoder of its own."
            )
        visual = {k: v for k, v in inputs.items() if k not in _OF_TEXT}
        raw = self.model.get_image_features(**visual, output_hidden_states=True, return_dict=True)
        maps = tuple(state for state in raw.hidden_states or () if state.dim() == 4)
        return ImageFeatures(maps=maps, raw=raw)

    def save(self, folder: Path) -> None:
        """See `Backbone.save`."""
        save_base(self.model, folder)
        self._bare_processor.save_pretrained(folder)  # a link adds its tokens again

    def add_lora(self, choice: LoraChoice) -> None:
        """See `Backbone.add_lora`."""
        self._trained = [p for p in self.model.parameters() if p.requires_grad]
        add_lora(self.model, self.output_head(), choice)

    def remove_lora(self, *, merge: bool = False) -> None:
        """See `Backbone.remove_lora`."""
        if has_adapter(self.model):
            remove_adapter(self.model, merge=merge)
            for parameter in self._trained:
                parameter.requires_grad_(True)

    def base_state_dict(self) -> dict[str, Tensor]:
        """See `Backbone.base_state_dict`; the names are those of the model."""
        return base_state_dict(self.model)

    def save_adapter(self, folder: Path) -> bool:
        """See `Backbone.save_adapter`."""
        if not has_adapter(self.model):
            return False
        save_adapter(self.model, folder)
        return True

    def load_adapter(self, folder: Path) -> None:
        """See `Backbone.load_adapter`."""
        load_adapter(self.model, folder)


_OF_TEXT = ("input_ids", "attention_mask", "mm_token_type_ids", "token_type_ids")


def _kept(values: Tensor, columns: int | Tensor) -> Tensor:
    """The last columns of (B, T, ...), or those at the indices (K,)."""
    return values[:, slice(-columns, None) if isinstance(columns, int) else columns]


def _part(part: str | ImagePart) -> dict[str, str]:
    return {"type": "text", "text": part} if isinstance(part, str) else {"type": "image"}
