"""Encoder-decoder models as backbones: the encoder reads, the decoder writes.

A row of `input_ids` is the question as the encoder reads it, then the start token and the answer as
the decoder does. So routes, labels and padding are what they are for any other model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from PIL import Image
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ..errors import InputError
from ..interfaces import BackboneOutput, ImageFeatures, Message, Prefill, keep_columns
from ..link import StateTap
from .anatomy import accepted
from .sampling import Start
from .stepping import Cache
from .transformers import TransformersBackbone

__all__ = ["EncoderDecoderBackbone"]

SPLIT = "<|answer|>"
"""Where the decoder takes over, in a rendered text; no token of the model."""
_SOURCE = "source_"
_TARGET_SIZES = "target_sizes"


class EncoderDecoderBackbone(TransformersBackbone):
    """Adapter of an encoder-decoder model of transformers; see `TransformersBackbone`."""

    def special_tokens(self) -> list[str]:
        """See `Backbone.special_tokens`."""
        return [*super().special_tokens(), SPLIT]

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool = False) -> str:
        """See `Backbone.render`; marks where the first answer begins."""
        roles = [message.role for message in messages]
        if "assistant" in roles:
            question = messages[: roles.index("assistant")]
            start = super().render(question, add_generation_prompt=True)
            whole = super().render(messages, add_generation_prompt=add_generation_prompt)
            if whole.startswith(start):
                return start + SPLIT + whole[len(start) :]
            return whole  # the template changes earlier text; the processor of superlink says so
        text = super().render(messages, add_generation_prompt=add_generation_prompt)
        return text + SPLIT if add_generation_prompt else text

    def encode(
        self,
        texts: Sequence[str],
        images: Sequence[Sequence[Image.Image]],
        *,
        padding_side: Literal["left", "right"] = "right",
    ) -> dict[str, Tensor]:
        """See `Backbone.encode`; beside the rows, what the encoder reads as `source_...`."""
        parts = [text.partition(SPLIT) for text in texts]
        source = super().encode([f"{question}{self.ends[1]}" for question, _, _ in parts], images)
        ids, mask = source.pop("input_ids"), source.pop("attention_mask")
        questions = [row[keep.bool()] for row, keep in zip(ids, mask, strict=True)]
        answers = [torch.tensor([self._start, *self.tokenize(answer)]) for _, _, answer in parts]
        if self._reads_text:
            source |= {f"{_SOURCE}input_ids": ids, f"{_SOURCE}attention_mask": mask}
        else:  # the decoder is told the question too
            start = ids.new_tensor([self._start])
            answers = [
                torch.cat([start, q, a[1:]]) for q, a in zip(questions, answers, strict=True)
            ]
            questions = [row[:0] for row in questions]
        rows = [torch.cat(pair) for pair in zip(questions, answers, strict=True)]
        padding: dict[str, Any] = {"batch_first": True, "padding_side": padding_side}
        return {
            **source,
            "input_ids": pad_sequence(rows, padding_value=self._pad, **padding),
            "attention_mask": pad_sequence([torch.ones_like(row) for row in rows], **padding),
            _TARGET_SIZES: torch.tensor([len(answer) for answer in answers]),
        }

    def forward(
        self,
        inputs: Mapping[str, Tensor],
        *,
        cache: Cache | Start | None = None,
        use_cache: bool = False,
        image_features: ImageFeatures | None = None,
        logits_to_keep: int | Tensor = 0,
    ) -> BackboneOutput:
        """See `Backbone.forward`; columns of the question have states and logits of zeros."""
        if cache is not None:
            return super().forward(
                inputs,
                cache=cache,
                use_cache=use_cache,
                image_features=image_features,
                logits_to_keep=logits_to_keep,
            )
        targets = _Targets(inputs, "left" if use_cache else "right")
        if use_cache:
            out = super().forward(
                inputs,
                cache=Start(1, {}, sized=True),
                use_cache=True,
                image_features=image_features,
            )
            states, logits, cache = out.last_hidden_state, out.logits, out.cache
        else:
            _, arguments = self._arguments(inputs, image_features)
            with StateTap().on(self.output_head()) as tap:
                logits = self.model(
                    **arguments, **targets.arguments(), use_cache=False, return_dict=True
                ).logits
            states = tap.states
        states, logits = (
            keep_columns(targets.spread(value), logits_to_keep) for value in (states, logits)
        )
        return BackboneOutput(states, logits, cache)

    def prefill(self, inputs: Mapping[str, Tensor], **options: Any) -> Prefill:
        """See `Backbone.prefill`; samplers know of the decoder's text alone."""
        return replace(super().prefill(inputs, **options), ids=_Targets(inputs, "left").ids)

    def used_positions(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """See `Backbone.used_positions`; those of the decoder."""
        return inputs[_TARGET_SIZES]

    @property
    def _start(self) -> int:
        configs = (self.model.generation_config, self.model.config)
        ids = (getattr(config, "decoder_start_token_id", None) for config in configs)
        start = next((i for i in ids if i is not None), self._pad)
        return int(start)

    @property
    def _pad(self) -> int:
        return int(self.tokenizer.pad_token_id or 0)

    @property
    def _reads_text(self) -> bool:
        return bool(self.model.main_input_name == "input_ids")

    @property
    def _knows_positions(self) -> bool:
        """Whether padding in front of a decoder's text changes nothing."""
        text = self.model.config.get_text_config(decoder=True)
        relative = hasattr(text, "relative_attention_num_buckets")
        return relative or "decoder_position_ids" in accepted(self.model)

    def _arguments(
        self, inputs: Mapping[str, Tensor], image_features: ImageFeatures | None
    ) -> tuple[Tensor, dict[str, Any]]:
        """What the encoder is given, under the model's own names."""
        rows = ("input_ids", "attention_mask", _TARGET_SIZES)
        own: dict[str, Any] = {
            key.removeprefix(_SOURCE): self._cast(value)
            for key, value in inputs.items()
            if key not in rows
        }
        if image_features is not None:
            own.pop("pixel_values", None)
            own["mm_encoder_outputs"] = {"image": image_features.raw}
        return inputs["input_ids"], own

    def _prompt_arguments(
        self, inputs: Mapping[str, Tensor], image_features: ImageFeatures | None
    ) -> dict[str, Any]:
        _, arguments = self._arguments(inputs, image_features)
        targets = _Targets(inputs, "left")
        if not (bool(targets.mask.all()) or self._knows_positions):
            raise InputError(
                f"The decoder of {type(self.model).__name__} counts positions from the first "
                "column, padding included, so that answers with beginnings of different lengths "
                "cannot be written side by side. Answer these samples one by one. Received: "
                f"{inputs[_TARGET_SIZES].tolist()} tokens."
            )
        return arguments | {"decoder_start_token_id": self._start} | targets.arguments()


class _Targets:
    """What the decoder reads, taken out of the rows of a batch.

    Args:
        inputs: Of `EncoderDecoderBackbone.encode`.
        side: Where shorter targets are padded.
    """

    def __init__(self, inputs: Mapping[str, Tensor], side: Literal["left", "right"]) -> None:
        ids, mask, sizes = inputs["input_ids"], inputs["attention_mask"], inputs[_TARGET_SIZES]
        real = [row.nonzero().flatten()[-n:] for row, n in zip(mask, sizes.tolist(), strict=True)]
        rows = [row[columns] for row, columns in zip(ids, real, strict=True)]
        padding: dict[str, Any] = {"batch_first": True, "padding_side": side}
        self.shape = ids.shape
        self.ids = pad_sequence(rows, **padding)
        self.mask = pad_sequence([torch.ones_like(row) for row in rows], **padding)
        self.columns = torch.cat(real)

    def arguments(self) -> dict[str, Tensor]:
        """As arguments of the model; a mask that hides nothing is left out."""
        arguments = {"decoder_input_ids": self.ids}
        if not bool(self.mask.all()):
            arguments["decoder_attention_mask"] = self.mask
        return arguments

    def spread(self, values: Tensor) -> Tensor:
        """Values (B, W, ...) of the targets at their columns of the rows, zeros elsewhere."""
        rows, places = self.mask.nonzero(as_tuple=True)
        whole = values.new_zeros(*self.shape, *values.shape[2:])
        return whole.index_put((rows, self.columns), values[rows, places])
