"""What cannot become a backbone is refused, with the reason."""

from __future__ import annotations

import pytest
import torch
from PIL import Image
from torch import nn
from transformers.utils import is_bitsandbytes_available

from superlink.backbones.anatomy import (
    context_length,
    input_embedding,
    output_head,
    side_embeddings,
)
from superlink.backbones.checking import check_model, check_processor
from superlink.backbones.loading import TransformersConfig, build_backbone, wrap
from superlink.build import attach
from superlink.errors import BackboneError, ConfigError, MissingDependencyError
from superlink.interfaces import IMAGE, Message, Sample
from superlink.testing.architectures import tiny_model, tiny_processor, tiny_tokenizer
from superlink.testing.backbones import Script, tiny_backbone
from superlink.testing.matrix import tiny_architecture
from superlink.testing.models import toy_registry


def test_processor_of_another_model_is_refused():
    llava, qwen = tiny_backbone("llava"), tiny_backbone("qwen2_5_vl")
    with pytest.raises(ConfigError, match="another model than LlavaForConditionalGeneration"):
        wrap(llava.model, qwen.processor)
    with pytest.raises(ConfigError, match="'<image>' with the id 5, where the model expects"):
        check_processor(qwen.model, llava.processor)


def test_image_token_with_another_id_is_refused():
    tokenizer = tiny_tokenizer()
    model = tiny_model("llava", tokenizer)
    processor = tiny_processor("llava", model, tokenizer)
    model.config.image_token_id = 7
    with pytest.raises(ConfigError, match="where the model expects 7"):
        check_processor(model, processor)


@pytest.mark.parametrize("processor", [None, tiny_backbone().tokenizer])
def test_processor_without_its_parts_is_refused(processor):
    with pytest.raises(ConfigError, match="needs its processor"):
        attach(tiny_backbone().model, processor, ["toy.box"], registry=toy_registry())


def test_model_that_writes_no_token_after_the_other_is_refused():
    with pytest.raises(BackboneError, match="DiffusionGemmaForBlockDiffusion, which has no"):
        tiny_architecture("diffusion_gemma")


@pytest.mark.parametrize(
    ("name", "reason"), [("blip", "neither a cache"), ("inkling2", "cuts its")]
)
def test_model_that_would_be_wrong_without_a_word_is_refused(name, reason):
    with pytest.raises(BackboneError, match=reason):
        tiny_architecture(name)


@pytest.mark.parametrize("thing", [nn.Linear(2, 2), object()])
def test_thing_that_is_no_model_is_refused(thing):
    with pytest.raises(BackboneError, match="needs an output head"):
        check_model(thing)


def test_head_of_an_inner_model_is_found():
    tokenizer = tiny_tokenizer()
    model = tiny_model("nemotron_h_omni", tokenizer)
    assert model.get_output_embeddings() is None
    assert output_head(model) is model.language_model.lm_head


def test_table_of_each_layer_is_a_side_table_and_a_tied_one_is_none():
    tokenizer = tiny_tokenizer()
    gemma = tiny_model("gemma4", tokenizer)
    tables = side_embeddings(gemma, input_embedding(gemma))
    assert [table.num_embeddings for table in tables] == [len(tokenizer)]
    florence = tiny_model("florence2", tokenizer)
    assert side_embeddings(florence, input_embedding(florence)) == []


def test_context_is_none_where_the_config_names_no_limit():
    assert context_length(tiny_backbone().model) == 1024
    assert context_length(tiny_model("udop", tiny_tokenizer())) is None  # relative positions


@pytest.mark.parametrize("bits", ["load_in_8bit", "load_in_4bit"])
def test_quantized_backbone_is_linked_where_the_library_is(tmp_path, bits):
    tiny_backbone("qwen2_5_vl").save(tmp_path)
    quantization = {"quant_method": "bitsandbytes", bits: True}
    config = TransformersConfig(source=str(tmp_path), quantization=quantization)
    if not is_bitsandbytes_available():
        with pytest.raises(MissingDependencyError, match="bitsandbytes"):
            build_backbone(config)
        pytest.skip("bitsandbytes is not installed")
    model = attach(build_backbone(config), decoders=["toy.box"], registry=toy_registry())
    target = {"bboxes": torch.tensor([[4.0, 4.0, 30.0, 30.0]]), "labels": torch.tensor([0])}
    photo = Image.new("RGB", (40, 60))
    messages = (Message("user", (IMAGE, "Find: dog")), Message("assistant", "a <p>dog</p>[BOX]"))
    batch = model.processor([Sample(messages, (photo,), targets=(target,))])
    model(**batch).loss.backward()
    assert model.queries.tokens.dtype == torch.float32
    assert model.queries.banks["toy-box"].grad.abs().sum() > 0
    with Script(model.backbone, ["a <p>dog</p>[BOX]"]):
        assert len(model.predict("Find: dog", photo).calls) == 1
