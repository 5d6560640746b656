"""What `part_sizes` says is what a model holds and what a checkpoint writes."""

from __future__ import annotations

import json
import struct

import pytest
import torch
from transformers import (
    CLIPImageProcessorPil,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)

import superlink
from superlink.backbones.words import CHAT_TEMPLATE, IMAGE_TOKEN, build_tokenizer
from superlink.checkpoint import fingerprint
from superlink.interfaces import LoraChoice
from superlink.linked import Origin
from superlink.linked.sizes import part_sizes
from superlink.testing.backbones import tiny_backbone
from superlink.testing.models import toy_model, toy_registry

LORA = LoraChoice(rank=4, targets=("q_proj", "v_proj"))


def data_bytes(path):
    """Bytes of the tensors of a safetensors file, its header left out."""
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    json.loads(raw[8 : 8 + length])
    return len(raw) - 8 - length


def written_bytes(folder):
    """Bytes that a checkpoint has for each part, by the names of `part_sizes`."""
    files = {
        "backbone": "backbone/model.safetensors",
        "adapter": "adapter/adapter_model.safetensors",
        "decoder toy.box": "decoders/toy.box/model.safetensors",
        "decoder toy.spot": "decoders/toy.spot/model.safetensors",
        "links": "links.safetensors",
    }
    paths = {name: folder / file for name, file in files.items()}
    return {name: data_bytes(path) for name, path in paths.items() if path.exists()}


def by_name(model, **options):
    return {size.name: size for size in part_sizes(model, **options)}


@pytest.mark.parametrize("lora", [None, LORA])
@pytest.mark.parametrize("known_source", [False, True])
@pytest.mark.parametrize("architecture", ["llava", "qwen2_5_vl"])  # tied tables, and two tables
def test_checkpoint_holds_the_bytes_that_were_told(tmp_path, architecture, known_source, lora):
    backbone = tiny_backbone(architecture).requires_grad_(not known_source)
    digest = fingerprint(backbone.base_state_dict())
    if lora is not None:
        backbone.add_lora(lora)
    model = toy_model(backbone=backbone)
    if known_source:
        model.origin = Origin("transformers", {"source": "somewhere"}, digest)
    told = {name: size.checkpoint_bytes for name, size in by_name(model).items()}
    assert (told["backbone"] == 0) == known_source
    assert ("adapter" in told) == (lora is not None)
    told["links"] = told.pop("queries") + told.pop("connectors")
    superlink.checkpoint.save(model, tmp_path / "model")
    assert {k: v for k, v in told.items() if v} == written_bytes(tmp_path / "model")


def test_parts_hold_every_parameter_once():
    backbone = tiny_backbone("llava")
    backbone.add_lora(LORA)
    model = toy_model(backbone=backbone)
    sizes = by_name(model)
    names = ["backbone", "adapter", "queries", "connectors", "decoder toy.box", "decoder toy.spot"]
    assert list(sizes) == names
    assert sum(size.parameters for size in sizes.values()) == superlink_parameters(model)
    assert sizes["backbone"].trained == 0
    assert sizes["adapter"].trained == sizes["adapter"].parameters > 0
    assert sizes["queries"].trained_bytes == 4 * sizes["queries"].parameters


def superlink_parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


def test_trained_is_what_takes_gradients_now():
    model = toy_model()
    model.backbone.requires_grad_(False)
    head = model.backbone.output_head().weight.requires_grad_()
    model.bound["toy.box"].decoder.requires_grad_(False)
    sizes = by_name(model)
    assert sizes["backbone"].trained == head.numel()
    assert sizes["decoder toy.box"].trained == sizes["decoder toy.box"].trained_bytes == 0


def test_backbone_is_written_where_it_was_trained_or_has_no_known_source():
    model = toy_model()
    whole = by_name(model)["backbone"].checkpoint_bytes
    assert whole > 0  # a toy comes from nowhere
    model.origin = Origin("transformers", {"source": "somewhere"}, "0123456789abcdef")
    assert by_name(model)["backbone"].checkpoint_bytes == whole  # it is trained
    model.backbone.requires_grad_(False)
    assert by_name(model)["backbone"].checkpoint_bytes == 0
    assert by_name(model, backbone_changed=True)["backbone"].checkpoint_bytes == whole
    model.origin = Origin("transformers", {"source": "somewhere"}, "")  # changed since, or unknown
    assert by_name(model)["backbone"].checkpoint_bytes == whole


def test_low_precision_counts_as_it_is_held():
    model = toy_model(backbone=tiny_backbone("llava").to(torch.bfloat16))
    size = by_name(model)["backbone"]
    buffers = sum(b.numel() * b.element_size() for b in model.backbone.buffers())
    assert size.weight_bytes == 2 * size.parameters + buffers


@pytest.fixture(scope="module")
def seven_billion():
    """LLaVA 1.5 7B with links and LoRA, without memory for its weights."""
    tokenizer = build_tokenizer(())
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessorPil(),
        tokenizer=tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        chat_template=CHAT_TEMPLATE,
        image_token=IMAGE_TOKEN,
    )
    config = LlavaConfig(image_token_index=tokenizer.convert_tokens_to_ids(IMAGE_TOKEN))
    config.text_config.vocab_size = 32064
    with torch.device("meta"):
        bare = LlavaForConditionalGeneration(config)
    lora = {"rank": 16, "targets": ["q_proj", "v_proj"]}
    return superlink.attach(bare, processor, ["toy.box"], registry=toy_registry(), lora=lora)


def test_seven_billion_parameters_are_measured_without_weights(seven_billion):
    sizes = by_name(seven_billion)
    assert sizes["backbone"].parameters == 7_063_427_072
    assert sizes["backbone"].checkpoint_bytes == 4 * 7_063_427_072  # nobody knows its source
    # 32 layers, 2 targets, (4096, 16) and (16, 4096) each
    assert sizes["adapter"].parameters == sizes["adapter"].trained == 32 * 2 * 2 * 4096 * 16
    assert sizes["adapter"].checkpoint_bytes == 4 * sizes["adapter"].parameters
    # 2 queries, and 3 control tokens with rows of their own for input and output
    assert sizes["queries"].parameters == (2 + 3 + 3) * 4096


def test_checkpoint_of_seven_billion_parameters_is_small_with_a_known_source(seven_billion):
    origin = Origin("transformers", {"source": "llava-hf/llava-1.5-7b-hf"}, "0123456789abcdef")
    seven_billion.origin = origin
    total = sum(size.checkpoint_bytes for size in part_sizes(seven_billion))
    assert 32 * 2**20 < total < 33 * 2**20
