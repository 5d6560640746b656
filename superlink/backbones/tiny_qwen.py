"""A random Qwen2.5-VL to test with: images of any size, positions on three axes, two tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transformers import (
    AutoProcessor,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    ProcessorMixin,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessorPil,
)

from .transformers import TransformersBackbone
from .words import build_tokenizer

__all__ = ["ImageOnlyQwenProcessor", "build_tiny_qwen"]

_TOKENS = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def build_tiny_qwen(words: Sequence[str] = ()) -> TransformersBackbone:
    """Make the model with random weights; `words` shall be one token each."""
    tokenizer = build_tokenizer(words)
    tokenizer.add_tokens(list(_TOKENS), special_tokens=True)
    processor = ImageOnlyQwenProcessor(
        image_processor=Qwen2VLImageProcessorPil(
            patch_size=8, merge_size=2, size={"shortest_edge": 16 * 16, "longest_edge": 64 * 64}
        ),
        tokenizer=tokenizer,
        chat_template=_TEMPLATE,
    )
    model = Qwen2_5_VLForConditionalGeneration(_config(tokenizer))
    return TransformersBackbone(model, processor)


def _config(tokenizer: PreTrainedTokenizerFast) -> Qwen2_5_VLConfig:
    start, end, image, video = tokenizer.encode("".join(_TOKENS))
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 1024,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]},
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
    }
    vision = {
        "depth": 2,
        "hidden_size": 64,
        "out_hidden_size": 64,
        "intermediate_size": 128,
        "num_heads": 4,
        "patch_size": 8,
        "window_size": 32,
        "fullatt_block_indexes": [1],
    }
    return Qwen2_5_VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=image,
        video_token_id=video,
        vision_start_token_id=start,
        vision_end_token_id=end,
        tie_word_embeddings=False,
    )


class ImageOnlyQwenProcessor(Qwen2_5_VLProcessor):
    """The processor of Qwen2.5-VL without its video part, which cannot be built on CPU alone: it
    needs torchvision. Text and images go through the code of the base class."""

    def __init__(
        self,
        image_processor: Any = None,
        tokenizer: Any = None,
        chat_template: str | None = None,
        **ignored: Any,
    ) -> None:
        self.image_token, self.video_token = _TOKENS[2:]
        self.image_token_id, self.video_token_id = tokenizer.convert_tokens_to_ids(
            [self.image_token, self.video_token]
        )
        ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)


class _ImageOnlyQwenKey(PreTrainedConfig):
    """What `AutoProcessor` files the processor under, so that saved folders load again."""

    model_type = "superlink_image_only_qwen"


AutoProcessor.register(_ImageOnlyQwenKey, ImageOnlyQwenProcessor, exist_ok=True)
