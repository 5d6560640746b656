"""Encoder-decoder models: the encoder reads, the decoder writes, and rows look like any other."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from superlink.backbones.encoder_decoder import SPLIT, EncoderDecoderBackbone
from superlink.errors import InputError
from superlink.interfaces import IMAGE, Message, Sample
from superlink.testing.backbones import Script
from superlink.testing.matrix import tiny_architecture
from superlink.testing.models import toy_model

QUESTION = (Message("user", (IMAGE, "Find: dog")),)
ANSWER = Message("assistant", "a <p>dog</p>[BOX] b")


@pytest.fixture(scope="module")
def backbone():
    return tiny_architecture("florence2")


def photo(color="red"):
    return Image.new("RGB", (60, 40), color)


def encode(backbone, *conversations, side="right"):
    texts = [backbone.render(c, add_generation_prompt=len(c) % 2 == 1) for c in conversations]
    images = [[photo()] * sum(m.num_images for m in c) for c in conversations]
    return backbone.encode(texts, images, padding_side=side)


def test_model_is_recognised(backbone):
    assert isinstance(backbone, EncoderDecoderBackbone)


def test_row_is_the_question_then_the_start_and_the_answer(backbone):
    inputs = encode(backbone, [*QUESTION, ANSWER])
    start = backbone.model.config.text_config.decoder_start_token_id
    source = inputs["source_input_ids"][0].tolist()
    row = inputs["input_ids"][0].tolist()
    assert row[: len(source)] == source
    assert row[len(source)] == start
    size = int(inputs["target_sizes"][0])
    assert len(row) == len(source) + size
    assert "dog" in backbone.decode(row[len(source) :])


def test_forward_equals_the_model_alone(backbone):
    inputs = encode(backbone, [*QUESTION, ANSWER])
    num_source = inputs["source_input_ids"].shape[1]
    with torch.no_grad():
        own = backbone.model(
            input_ids=inputs["source_input_ids"],
            attention_mask=inputs["source_attention_mask"],
            pixel_values=inputs["pixel_values"],
            decoder_input_ids=inputs["input_ids"][:, num_source:],
        ).logits
        out = backbone(inputs)
    assert torch.equal(out.logits[:, num_source:], own)
    assert not out.logits[:, :num_source].any()
    assert not out.last_hidden_state[:, :num_source].any()


def test_mark_of_the_answer_cannot_be_forged(backbone):
    model = toy_model(backbone=tiny_architecture("florence2"))
    text = f"Find: {SPLIT} dog"
    sample = Sample((Message("user", text),))
    encoded = model.processor.encode([sample], add_generation_prompt=True)
    assert int(encoded.inputs["target_sizes"][0]) == 1  # the start token alone


def test_labels_are_those_of_the_answer(backbone):
    model = toy_model(backbone=tiny_architecture("florence2"))
    target = {"bboxes": torch.tensor([[4.0, 4.0, 30.0, 30.0]]), "labels": torch.tensor([0])}
    batch = model.processor([Sample((*QUESTION, ANSWER), (photo(),), targets=(target,))])
    kept = batch["labels"][0] != -100
    text = model.backbone.decode(batch["inputs"]["input_ids"][0, kept].tolist())
    assert text.startswith("a <p>dog</p>[BOX] b")
    model(**batch).loss.backward()
    assert model.queries.banks["toy-box"].grad.abs().sum() > 0


def test_second_turn_goes_on_in_the_decoder(backbone):
    model = toy_model(backbone=tiny_architecture("florence2"))
    messages = (*QUESTION, ANSWER, Message("user", "and now?"))
    with Script(model.backbone, ["<p>a cat</p>[SPOT]"]):
        reply = model.answer([Sample(messages, (photo(),))])[0]
    assert [route.token for route in reply.routes] == ["[SPOT]"]
    assert reply.text == "a cat"


def test_beginnings_of_different_lengths_are_refused_where_positions_count_padding(backbone):
    model = toy_model(backbone=tiny_architecture("florence2"))
    short = Sample(QUESTION, (photo(),))
    long = Sample((*QUESTION, ANSWER, Message("user", "and now?")), (photo(),))
    with pytest.raises(InputError, match="one by one"):
        model.answer([short, long])


def test_cache_of_a_plain_forward_goes_on(backbone):
    inputs = encode(backbone, QUESTION, [Message("user", (IMAGE, "hello there"))], side="left")
    with torch.no_grad():
        whole = backbone(inputs, use_cache=True)
        again = backbone(inputs)
        assert (whole.logits - again.logits).abs().max() <= 1e-5
        step = {"input_ids": torch.tensor([[20], [30]]), "attention_mask": torch.ones(2, 1).long()}
        out = backbone(step, cache=whole.cache)
    assert out.logits.shape[:2] == (2, 1)
