"""A processor for any tiny model: real pixels in the model's layout, placeholders expanded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from PIL import Image
from torch import Tensor
from transformers import (
    AutoProcessor,
    BatchFeature,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    ProcessorMixin,
)

from ...backbones.words import CHAT_TEMPLATE
from . import special
from .families import family_of
from .finding import find_format
from .format import PixelFormat
from .pixels import LAYOUTS, Pixels, Rows
from .sides import SIDES

__all__ = ["TinyProcessor", "tiny_processor"]


class TinyProcessor(ProcessorMixin):
    """What the processors of transformers do, for a model of `tiny_model`.

    Args:
        tokenizer: From `tiny_tokenizer`.
        chat_template: Jinja template that writes the image token for an image.
        form: Fields of a `PixelFormat`.
    """

    def __init__(
        self, tokenizer: Any = None, chat_template: str | None = None, form: Any = None
    ) -> None:
        self.image_token = str(tokenizer.image_token)
        self.form: dict[str, Any] = PixelFormat(**form).model_dump(mode="json")
        ProcessorMixin.__init__(self, tokenizer, chat_template=chat_template)

    def __call__(
        self,
        text: Sequence[str],
        images: Sequence[Image.Image] | Sequence[Sequence[Image.Image]] | None = None,
        *,
        padding: bool = True,
        padding_side: Literal["left", "right"] = "right",
        add_special_tokens: bool = False,
        return_tensors: str = "pt",
    ) -> BatchFeature:
        """Tensors of a batch.

        Args:
            text: Texts, with one image token for each of their images.
            images: The images of all texts in order, or a list of them for each text.
            padding: Pad texts to the longest.
            padding_side: Where.
            add_special_tokens: Let the tokenizer add its own.
            return_tensors: `pt`.

        Raises:
            ValueError: Texts and images do not match.
        """
        form = PixelFormat(**self.form)
        rows = self._rows(list(text), _flat(images or ()), form)
        tensors, units = _pixels(rows, form) if images or form.blank else ({}, [])
        encoded = self.tokenizer(
            self._expand(list(text), units, form),
            padding=padding,
            padding_side=padding_side,
            add_special_tokens=add_special_tokens,
            return_tensors=return_tensors,
            return_token_type_ids=False,
        )
        sides = self._sides(encoded["input_ids"], form)
        return BatchFeature({**encoded, **tensors, **sides})

    def _rows(self, texts: list[str], images: list[Image.Image], form: PixelFormat) -> Rows:
        """Deal the images to the texts by their placeholders."""
        counts = [text.count(self.image_token) for text in texts]
        if sum(counts) != len(images):
            raise ValueError(
                f"Expected as many images as {self.image_token} in the texts. Received: "
                f"{counts} in the texts, {len(images)} images."
            )
        if form.one_image and any(counts) and set(counts) != {1}:
            raise ValueError(f"Expected one image in each text, or none. Received: {counts}.")
        left = iter(images)
        return [[next(left) for _ in range(count)] for count in counts]

    def _expand(self, texts: list[str], units: list[int], form: PixelFormat) -> list[str]:
        """Write as many image tokens for each placeholder as the model has for its image."""
        if not form.tokens:
            return [text.replace(self.image_token, "") for text in texts]
        runs = iter(self.image_token * round(unit * form.tokens) for unit in units)
        expanded = []
        for text in texts:
            first, *rest = text.split(self.image_token)
            tail = (f"{form.before}{next(runs)}{form.after}{part}" for part in rest)
            expanded.append("".join([first, *tail]))
        return expanded

    def _sides(self, ids: Tensor, form: PixelFormat) -> dict[str, Tensor]:
        image_id = self.tokenizer.convert_tokens_to_ids(self.image_token)
        here = ids == image_id
        sides = {
            name: torch.where(here, image, other) for name, (image, other) in form.types.items()
        }
        for name in form.side:
            make = SIDES.get(name) or getattr(special, name)
            tensor = make(ids, image_id, form)
            sides |= {} if tensor is None else {name: tensor}
        return sides


def _flat(images: Sequence[Any]) -> list[Image.Image]:
    parts = ([part] if isinstance(part, Image.Image) else list(part) for part in images)
    return [image for part in parts for image in part]


def tiny_processor(
    architecture: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> TinyProcessor:
    """The processor of a tiny model.

    Args:
        architecture: One of `ARCHITECTURES`.
        model: From `tiny_model`; its image encoder runs once, to count the tokens of an image.
        tokenizer: From `tiny_tokenizer`.

    Raises:
        ConfigError: transformers has no such architecture.
    """
    form = find_format(model, tokenizer, family_of(architecture))
    if "tokens" not in form.model_fields_set:
        form = form.model_copy(update={"tokens": _tokens_per_unit(model, form)})
    if not form.tokens and form.layout in ("images", "flattened"):
        form = form.model_copy(update={"one_image": True})
    return TinyProcessor(tokenizer, CHAT_TEMPLATE, form.model_dump(mode="json"))


def _tokens_per_unit(model: PreTrainedModel, form: PixelFormat) -> float:
    """Ask the image encoder; 0 where there is none to ask, as images have no tokens then."""
    encoders = (getattr(part, "get_image_features", None) for part in model.modules())
    encode = next((encoder for encoder in encoders if encoder is not None), None)
    if encode is None:
        return 0
    image = Image.new("RGB", (form.width, form.height), "grey")
    tensors, units = _pixels([[image]], form)
    with torch.no_grad():
        features = encode(**tensors)
    pooled = getattr(features, "pooler_output", None)
    if pooled is None:
        pooled = getattr(features, "last_hidden_state", features)
    parts = pooled if isinstance(pooled, (list, tuple)) else [pooled]
    return float(sum(part.numel() // part.shape[-1] for part in parts) / sum(units))


def _pixels(rows: Rows, form: PixelFormat) -> Pixels:
    layout = LAYOUTS.get(form.layout) or getattr(special, form.layout)
    pixels: Pixels = layout(rows, form)
    return pixels


class _TinyKey(PreTrainedConfig):
    """What `AutoProcessor` files the processor under, so that saved folders load again."""

    model_type = "superlink_tiny_processor"


AutoProcessor.register(_TinyKey, TinyProcessor, exist_ok=True)
