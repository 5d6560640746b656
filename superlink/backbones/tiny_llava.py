"""The built-in default: a LLaVA small enough to be trained on a laptop, with nothing downloaded."""

from __future__ import annotations

from typing import Literal, cast

from pydantic import BaseModel, ConfigDict, Field
from transformers import (
    CLIPImageProcessorPil,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)

from .lite_vision import LiteVisionConfig, LiteVisionModel, load_imagenet_weights
from .loading import TransformersConfig, build_backbone
from .transformers import TransformersBackbone
from .words import CHAT_TEMPLATE, IMAGE_TOKEN, build_tokenizer

__all__ = ["TinyLlavaConfig", "build_tiny_llava"]


class TinyLlavaConfig(BaseModel):
    """Sizes of the built-in model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str | None = None
    """A folder with a saved one; None starts from nothing, and the sizes below count."""
    hidden_size: int = Field(default=160, ge=8)
    """Width of the LLM."""
    num_layers: int = Field(default=3, ge=1)
    """Layers of the LLM."""
    num_heads: int = Field(default=5, ge=1)
    """Attention heads of the LLM."""
    image_size: int = Field(default=128, ge=32, multiple_of=32)
    """Images are resized to a square of this side."""
    max_tiles: int = Field(default=1, ge=1, le=64)
    """Such squares that a large image is cut into at most, beside one of the whole; 1 cuts none."""
    encoder: Literal["efficientnet_lite0", "conv"] = "efficientnet_lite0"
    """Image encoder; `conv` is a random one for tests."""
    finest_stride: Literal[4, 8] = 8
    """Stride of the finest map that the image encoder hands to task decoders; masks want 4."""
    grid_size: int = Field(default=4, ge=1)
    """The LLM sees an image as a square of so many tokens a side."""
    pretrained_encoder: bool = True
    """Whether EfficientNet starts from ImageNet weights."""
    words: tuple[str, ...] = ()
    """Words, or texts of words, that shall be one token each beside the built-in list."""
    phrases: tuple[str, ...] = ()
    """Several words that shall be one token together, as `left knee`: names that are asked for over
    and over are copied from a question sooner."""
    init_std: float = Field(default=0.08, gt=0)
    """Spread of the LLM's first weights; narrow models want more than the 0.02 of wide ones."""
    max_length: int = Field(default=1024, ge=64)
    """Positions of the LLM."""


def build_tiny_llava(config: TinyLlavaConfig) -> TransformersBackbone:
    """Make the model, or load a saved one from `config.source`."""
    if config.source is not None:
        return build_backbone(
            TransformersConfig(source=config.source, dtype="float32", max_tiles=config.max_tiles)
        )
    tokenizer = build_tokenizer(config.words, config.phrases)
    vision = LiteVisionConfig(
        encoder=config.encoder,
        image_size=config.image_size,
        finest_stride=config.finest_stride,
        grid_size=config.grid_size,
    )
    image_processor = CLIPImageProcessorPil(
        size={"height": config.image_size, "width": config.image_size},
        do_center_crop=False,
        image_mean=[127 / 255] * 3,
        image_std=[128 / 255] * 3,
    )
    processor = LlavaProcessor(
        image_processor=image_processor,
        tokenizer=tokenizer,
        patch_size=config.image_size // vision.grid_size,
        vision_feature_select_strategy="full",
        chat_template=CHAT_TEMPLATE,
        image_token=IMAGE_TOKEN,
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=config.hidden_size,
        intermediate_size=config.hidden_size * 8 // 3 // 32 * 32 or 32,
        num_hidden_layers=config.num_layers,
        num_attention_heads=config.num_heads,
        num_key_value_heads=config.num_heads,
        max_position_embeddings=config.max_length,
        initializer_range=config.init_std,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        tie_word_embeddings=True,
    )
    model = LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=vision,
            text_config=text,
            image_token_index=cast(int, tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)),
            image_seq_length=vision.grid_size**2,
            vision_feature_layer=-1,
            vision_feature_select_strategy="full",
            tie_word_embeddings=True,
        )
    )
    if config.encoder == "efficientnet_lite0" and config.pretrained_encoder:
        load_imagenet_weights(cast(LiteVisionModel, model.model.vision_tower))
    return TransformersBackbone(model, processor, max_tiles=config.max_tiles)
