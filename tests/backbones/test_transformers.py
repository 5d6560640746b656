"""The adapter of transformers models."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from superlink.backbones.loading import TransformersConfig, build_backbone
from superlink.backbones.transformers import TransformersBackbone
from superlink.errors import BackboneError, InputError, RoutingError
from superlink.interfaces import IMAGE, Message
from superlink.testing.backbones import tiny_backbone

ARCHITECTURES = ["llava", "qwen2_5_vl"]


@pytest.fixture(scope="module")
def backbones():
    return {name: tiny_backbone(name) for name in ARCHITECTURES}


@pytest.fixture(params=ARCHITECTURES)
def backbone(backbones, request):
    return backbones[request.param]


def photo(color="red", size=(40, 60)):
    return Image.new("RGB", size, color)


def encode(backbone, *conversations, side="right"):
    texts = [backbone.render(c, add_generation_prompt=True) for c in conversations]
    images = [[photo()] * sum(m.num_images for m in c) for c in conversations]
    return backbone.encode(texts, images, padding_side=side)


LONG = [Message("user", (IMAGE, "find a big red dog and two cats"))]
SHORT = [Message("user", "hello")]


def test_forward_equals_the_model_alone(backbone):
    inputs = encode(backbone, LONG)
    with torch.no_grad():
        expected = backbone.model(**inputs, output_hidden_states=True)
        out = backbone(inputs)
    assert torch.equal(out.logits, expected.logits)
    assert torch.equal(out.last_hidden_state, expected.hidden_states[-1])
    assert out.cache is None


@torch.no_grad()
def test_columns_with_holes_give_what_a_whole_forward_gives(backbone):
    inputs = encode(backbone, LONG, SHORT, side="left")
    ids = torch.tensor([[20, 21, 22], [30, 0, 0]])
    keep = torch.tensor([[1, 1, 1], [1, 0, 0]])
    cache = backbone(inputs, use_cache=True).cache
    block = {"input_ids": ids, "attention_mask": keep}
    first = backbone(block, cache=cache, use_cache=True)
    last = {"input_ids": torch.tensor([[23], [31]]), "attention_mask": torch.ones(2, 1).long()}
    second = backbone(last, cache=first.cache).last_hidden_state[:, -1]
    for row, tail in enumerate(([20, 21, 22, 23], [30, 31])):
        alone = encode(backbone, (LONG, SHORT)[row])
        alone["input_ids"] = torch.cat([alone["input_ids"], torch.tensor([tail])], dim=1)
        for key in ("attention_mask", "mm_token_type_ids"):
            if key in alone:
                value = torch.full((1, len(tail)), int(key == "attention_mask"))
                alone[key] = torch.cat([alone[key], value], dim=1)
        expected = backbone(alone).last_hidden_state[0, -1]
        assert (second[row] - expected).abs().max() <= 1e-4


@torch.no_grad()
def test_image_features_given_ahead_change_nothing(backbone):
    inputs = encode(backbone, LONG, SHORT)
    features = backbone.image_features(inputs)
    expected = backbone(inputs).logits
    assert torch.equal(backbone(inputs, image_features=features).logits, expected)
    assert backbone.image_features(encode(backbone, SHORT)) is None


def test_image_features_are_the_maps_of_a_convolutional_encoder(backbones):
    features = backbones["llava"].image_features(encode(backbones["llava"], LONG))
    assert [tuple(m.shape) for m in features.maps] == [(1, 16, 8, 8), (1, 24, 4, 4), (1, 32, 2, 2)]
    qwen = backbones["qwen2_5_vl"]
    assert qwen.image_features(encode(qwen, LONG)).maps == ()


def test_positions_of_an_image_lie_on_three_axes(backbones):
    backbone = backbones["qwen2_5_vl"]
    inputs = encode(backbone, LONG)
    positions = backbone.model._prepare_position_ids_for_generation(
        inputs["input_ids"], dict(inputs)
    )
    image = inputs["mm_token_type_ids"][0] == 1
    assert image.sum() == inputs["image_grid_thw"].prod() // 4
    axes = positions[1:, 0, image]
    assert len({tuple(axis.tolist()) for axis in axes}) == 3


def test_pixels_reach_the_logits(backbone):
    text = backbone.render(LONG)
    logits = [backbone(backbone.encode([text], [[photo(c)]])).logits for c in ("red", "blue")]
    assert (logits[0] - logits[1]).abs().max() > 1e-4


def test_logits_to_keep_gives_the_last_positions(backbone):
    inputs = encode(backbone, LONG)
    with torch.no_grad():
        whole, last = backbone(inputs), backbone(inputs, logits_to_keep=1)
    assert last.logits.shape[1] == last.last_hidden_state.shape[1] == 1
    assert torch.allclose(last.logits, whole.logits[:, -1:], atol=1e-6)


def test_rendered_text_has_one_placeholder_for_each_image(backbone):
    text = backbone.render([Message("user", (IMAGE, "a", IMAGE))])
    assert text.count(backbone.processor.image_token) == 2
    assert backbone.render(LONG, add_generation_prompt=True).startswith(backbone.render(LONG))


def test_tokens_are_added_once_and_stay_whole(backbone):
    before = len(backbone.tokenizer)
    ids = backbone.add_tokens(["[NEW]", "<|new_0|>"])
    assert ids == backbone.add_tokens(["[NEW]", "<|new_0|>"])
    assert len(backbone.tokenizer) <= before + 2
    assert backbone.tokenize("a[NEW]<|new_0|>b")[1:3] == ids
    assert backbone.decode(ids) == "[NEW]<|new_0|>"
    assert {"[NEW]", "<|end|>", backbone.processor.image_token} <= {*backbone.special_tokens()}


def test_token_that_the_tokenizer_splits_is_refused(backbones, monkeypatch):
    backbone = backbones["llava"]
    monkeypatch.setattr(backbone.tokenizer, "add_tokens", lambda *_, **__: 0)
    with pytest.raises(RoutingError, match=r"\[SPLIT\] encodes to"):
        backbone.add_tokens(["[SPLIT]"])


def test_runs_of_blanks_in_the_vocabulary_are_no_control():
    backbone = tiny_backbone()
    before = backbone.special_tokens()
    backbone.tokenizer.add_tokens(["    "])
    assert backbone.special_tokens() == before


def test_answers_end_at_the_ids_of_tokenizer_and_generation_config():
    backbone = tiny_backbone()
    end = backbone.tokenizer.eos_token_id
    assert backbone.eos_ids() == {end}
    backbone.model.generation_config.eos_token_id = [7, 8]
    assert backbone.eos_ids() == {7, 8, end}


def test_tied_copies_of_the_embedding_are_found():
    backbone = tiny_backbone("qwen2_5_vl")
    main = backbone.model.get_input_embeddings()
    copy = torch.nn.Embedding(*main.weight.shape)
    copy.weight = main.weight
    backbone.model.copy = copy
    assert backbone.embedding_modules() == [main, copy]


def test_placeholders_must_match_the_images(backbone):
    with pytest.raises(InputError, match=r"cannot process a batch.*Received: images .* \[\]"):
        backbone.encode([backbone.render(LONG)], [[]])


def test_saved_backbone_loads_again(backbone, tmp_path):
    backbone.save(tmp_path)
    again = build_backbone(TransformersConfig(source=str(tmp_path)))
    inputs = encode(backbone, LONG)
    assert torch.equal(again(inputs).logits, backbone(inputs).logits)
    assert torch.equal(encode(again, LONG)["pixel_values"], inputs["pixel_values"])


def test_source_without_a_model_is_refused(tmp_path):
    with pytest.raises(BackboneError, match="Expected the Hub id or the folder"):
        build_backbone(TransformersConfig(source=str(tmp_path)))


def test_model_without_an_output_head_is_refused(backbones):
    backbone = backbones["llava"]
    with pytest.raises(BackboneError, match="LlavaModel, whose get_output_embeddings"):
        TransformersBackbone(backbone.model.model, backbone.processor)
