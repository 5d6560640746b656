from __future__ import annotations

import copy
import inspect

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoProcessor

from superlink.errors import ConfigError
from superlink.testing.architectures import (
    ARCHITECTURES,
    TinyProcessor,
    refused,
    tiny_model,
    tiny_processor,
    tiny_tokenizer,
)
from superlink.testing.architectures.families import families

SAMPLE = (
    "llava",
    "qwen2_5_vl",
    "gemma3",
    "idefics3",
    "mllama",
    "paligemma",
    "internvl",
    "florence2",
)
TEXT = "a <image> dog"


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_tokenizer()


@pytest.fixture(scope="module")
def llava(tokenizer):
    model = tiny_model("llava", tokenizer)
    return model, tiny_processor("llava", model, tokenizer)


def noise(seed, width=40, height=30):
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def logits(model, inputs):
    """Of the last position, with the text as what a decoder writes where there is one."""
    arguments = dict(inputs)
    if model.config.is_encoder_decoder:
        arguments["decoder_input_ids"] = arguments["input_ids"]
    if "input_ids" not in inspect.signature(model.forward).parameters:
        del arguments["input_ids"], arguments["attention_mask"]
    with torch.no_grad():
        return model(**arguments).logits[:, -1]


def test_architectures_are_sorted_and_known_to_transformers():
    assert list(ARCHITECTURES) == sorted(set(ARCHITECTURES))
    assert {"llava", "qwen2_5_vl", "blip-2"} <= set(ARCHITECTURES)


def test_families_name_known_architectures_with_what_they_need():
    entries = families()
    assert set(entries) <= set(ARCHITECTURES)
    assert refused("llava") is None


@pytest.mark.parametrize("architecture", SAMPLE)
def test_model_when_pixels_change_gives_other_logits(architecture, tokenizer):
    model = tiny_model(architecture, tokenizer)
    processor = tiny_processor(architecture, model, tokenizer)
    one, other = (
        logits(model, processor(text=[TEXT, TEXT], images=[noise(seed), noise(seed + 1, 30, 40)]))
        for seed in (0, 2)
    )
    assert sum(p.numel() for p in model.parameters()) < 3_000_000
    assert torch.isfinite(one).all()
    assert ((one - other).abs().amax(dim=-1) > 1e-6).all()


def test_tiny_model_with_a_seed_is_the_same_again(tokenizer):
    one, same, other = (tiny_model("llava", tokenizer, seed=seed) for seed in (0, 0, 1))
    weights = [m.get_output_embeddings().weight for m in (one, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_tiny_model_has_the_vocabulary_of_the_tokenizer(tokenizer, llava):
    assert llava[0].get_input_embeddings().num_embeddings == len(tokenizer)
    assert llava[0].config.image_token_id == tokenizer.convert_tokens_to_ids("<image>")


def test_tiny_model_of_an_unknown_architecture_names_the_known(tokenizer):
    with pytest.raises(ConfigError, match="llava_next"):
        tiny_model("lava", tokenizer)


def test_tiny_model_of_a_refused_architecture_says_why(tokenizer):
    with pytest.raises(ConfigError, match="proteins"):
        tiny_model("evolla", tokenizer)


@pytest.mark.parametrize(
    ("texts", "images"), [(["a dog"], 1), (["<image> dog"], 0), (["<image><image>"], 1)]
)
def test_processor_with_other_numbers_of_images_raises(texts, images, llava):
    with pytest.raises(ValueError, match="Expected as many images"):
        llava[1](text=texts, images=[noise(i) for i in range(images)] or None)


def test_processor_expands_each_placeholder_in_rows_of_several_images(llava):
    model, processor = llava
    texts = ["<image> and <image>", "no image", "<image>"]
    inputs = processor(text=texts, images=[noise(i) for i in range(3)], padding_side="left")
    counts = (inputs["input_ids"] == model.config.image_token_id).sum(1)
    assert counts.tolist() == [32, 0, 16]
    assert inputs["pixel_values"].shape[0] == 3
    assert inputs["attention_mask"][1, 0] == 0
    assert torch.isfinite(logits(model, inputs)).all()


def test_processor_renders_a_conversation_that_it_can_read(llava):
    content = [{"type": "image"}, {"type": "text", "text": "a dog"}]
    text = llava[1].apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    assert text == "<|user|><image>a dog<|end|><|assistant|>"
    assert "pixel_values" in llava[1](text=[text], images=[noise(0)])


def test_processor_when_loaded_again_gives_the_same_inputs(tmp_path, llava):
    processor = copy.deepcopy(llava[1])
    processor.save_pretrained(tmp_path)
    loaded = AutoProcessor.from_pretrained(tmp_path)
    assert isinstance(loaded, TinyProcessor)
    before, after = (p(text=[TEXT], images=[noise(0)]) for p in (processor, loaded))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
