"""Any image-text-to-text model of transformers as a backbone, without subclassing it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn
from transformers import ProcessorMixin

from ..interfaces import (
    BackboneOutput,
    ImageFeatures,
    LoraChoice,
    Prefill,
)
from .anatomy import (
    context_length,
    input_embedding,
    output_head,
    side_embeddings,
    tied_embeddings,
)
from .checking import check_model, check_processor
from .images import ImagesOfModel
from .lora import (
    add_lora,
    base_state_dict,
    check_adapter,
    has_adapter,
    load_adapter,
    remove_adapter,
    save_adapter,
    save_base,
)
from .sampling import Start, prepare_prompt
from .stepping import Cache, Columns, extend, is_block_safe, run, with_positions

__all__ = ["TransformersBackbone"]


class TransformersBackbone(ImagesOfModel):
    """Adapter of a transformers model and its processor.

    Args:
        model: An image-text-to-text model, peft's wrapper of one included; it is used as it is.
        processor: Its processor, with a chat template.
        max_tiles: Tiles that a large image is cut into at most; 1: it goes whole, or as the
            processor cuts it.
        region_levels: How many hidden states of the image encoder a region reads; see `Grids`.

    Raises:
        ConfigError: There is no processor, it lacks a tokenizer or a chat template, it belongs to
            another model, or tiles or levels are wanted that it cannot have.
        BackboneError: The model has no output head.
    """

    spec_name = "transformers"

    def __init__(
        self,
        model: Any,
        processor: ProcessorMixin,
        *,
        max_tiles: int = 1,
        region_levels: int = 1,
    ) -> None:
        if hasattr(model, "get_base_model"):  # peft works in place, below its wrapper
            model = model.get_base_model()
            check_adapter(model)
        check_model(model)
        check_processor(model, processor)
        super().__init__(model, processor, max_tiles, region_levels)
        self._embeddings: tuple[nn.Module, ...] = ()
        self._side_embeddings: list[nn.Module] = []
        self._trained: list[nn.Parameter] | None = None  # before LoRA of ours froze them
        self.vocab_size, self.hidden_size = self.output_head().get_parameter("weight").shape
        self.context_length = context_length(model)
        self.revision = getattr(model.config, "_commit_hash", None)

    def eos_ids(self) -> frozenset[int]:
        """See `Backbone.eos_ids`."""
        configured = getattr(self.model.generation_config, "eos_token_id", None)
        ids = configured if isinstance(configured, list) else [configured]
        return frozenset(i for i in [*ids, self.tokenizer.eos_token_id] if i is not None)

    def embedding_modules(self) -> list[nn.Module]:
        """The input embedding, and every other embedding that has the same weight."""
        main = input_embedding(self.model)
        if not self._embeddings or self._embeddings[0] is not main:
            # Kept, as each forward asks and walking all modules costs more than a small layer.
            self._embeddings = (main, *tied_embeddings(self.model, main))
            self._side_embeddings = side_embeddings(self.model, main)
        return list(self._embeddings)

    def side_embeddings(self) -> list[nn.Module]:
        """See `Backbone.side_embeddings`."""
        self.embedding_modules()
        return self._side_embeddings

    def layer_classes(self) -> list[str]:
        """See `Backbone.layer_classes`; blocks of an image encoder are none."""
        decoder = self.model.get_decoder()
        inside = {type(module).__name__ for module in decoder.modules()}
        return sorted(inside.intersection(decoder._no_split_modules or ()))

    def checkpoint_activations(self, wanted: bool) -> None:
        """See `Backbone.checkpoint_activations`."""
        if wanted:
            self.model.activation_checkpointing_enable({"use_reentrant": False})
        elif self.model.is_activation_checkpointing:
            self.model.activation_checkpointing_disable()

    def output_head(self) -> nn.Module:
        """See `Backbone.output_head`."""
        head = self.model.get_output_embeddings()
        return cast(nn.Module, output_head(self.model) if head is None else head)

    def forward(
        self,
        inputs: Mapping[str, Tensor],
        *,
        cache: Cache | Start | None = None,
        use_cache: bool = False,
        image_features: ImageFeatures | None = None,
        logits_to_keep: int | Tensor = 0,
    ) -> BackboneOutput:
        """See `Backbone.forward`."""
        if isinstance(cache, Cache):
            columns = extend(cache, inputs["input_ids"], inputs["attention_mask"])
        elif cache is None:
            ids, arguments = self._arguments(inputs, image_features)
            columns = Columns(self.model, ids, with_positions(self.model, ids, arguments))
        else:
            arguments = self._prompt_arguments(inputs, image_features)
            columns = prepare_prompt(self.model, self.tokenizer, arguments, cache)
        return run(self.output_head(), columns, use_cache=use_cache, logits_to_keep=logits_to_keep)

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
        start = Start(max(max_new_tokens, 1) + (room or 0), settings or {}, room is not None)
        # Called, not run, so that the hooks on this module see the forward.
        out = self(
            inputs, cache=start, use_cache=True, image_features=image_features, logits_to_keep=1
        )
        assert start.sampler is not None  # noqa: S101 (the forward has set it)
        return Prefill(out, start.sampler, eos_ids=start.eos_ids)

    def block_safe(self, cache: Cache, width: int) -> bool:
        """See `Backbone.block_safe`."""
        return is_block_safe(cache, width)

    def _prompt_arguments(
        self, inputs: Mapping[str, Tensor], image_features: ImageFeatures | None
    ) -> dict[str, Any]:
        """What `generate` is given."""
        ids, arguments = self._arguments(inputs, image_features)
        return {"input_ids": ids, **arguments}

    def _arguments(
        self, inputs: Mapping[str, Tensor], image_features: ImageFeatures | None
    ) -> tuple[Tensor, dict[str, Any]]:
        """The ids that the language model reads, and all else that the model is given."""
        arguments = self._without_tiles(inputs)
        if image_features is not None:
            arguments = {k: v for k, v in arguments.items() if k != "pixel_values"}
            arguments["mm_encoder_outputs"] = {"image": image_features.raw}
        return arguments.pop("input_ids"), arguments

    def save(self, folder: Path) -> None:
        """See `Backbone.save`."""
        save_base(self.model, folder)
        self.bare_processor.save_pretrained(folder)  # a link adds its tokens again

    def add_lora(self, choice: LoraChoice) -> None:
        """See `Backbone.add_lora`."""
        trained = [p for p in self.model.parameters() if p.requires_grad]
        add_lora(self.model, self.output_head(), choice)
        self._trained = trained

    def has_adapter(self) -> bool:
        """See `Backbone.has_adapter`."""
        return has_adapter(self.model)

    def remove_lora(self, *, merge: bool = False) -> None:
        """See `Backbone.remove_lora`; an adapter that came with the model stays."""
        if self._trained is not None:
            remove_adapter(self.model, merge=merge)
            for parameter in self._trained:
                parameter.requires_grad_(True)
            self._trained = None

    def base_state_dict(self) -> dict[str, Tensor]:
        """See `Backbone.base_state_dict`."""
        return {f"model.{name}": value for name, value in base_state_dict(self.model).items()}

    def save_adapter(self, folder: Path) -> bool:
        """See `Backbone.save_adapter`."""
        if not has_adapter(self.model):
            return False
        save_adapter(self.model, folder)
        return True

    def load_adapter(self, folder: Path) -> None:
        """See `Backbone.load_adapter`."""
        trained = [p for p in self.model.parameters() if p.requires_grad]
        own = not has_adapter(self.model)
        load_adapter(self.model, folder)
        self._trained = trained if own else self._trained
