"""Tiny backbones are real, small and repeatable; a scripted head writes what it is told."""

from __future__ import annotations

import pytest
import torch
from transformers import LlavaForConditionalGeneration, Qwen2_5_VLForConditionalGeneration

from superlink.link import generate
from superlink.testing.backbones import Script, tiny_backbone
from superlink.testing.models import toy_model


@pytest.mark.parametrize(
    ("architecture", "model_class"),
    [
        ("llava", LlavaForConditionalGeneration),
        ("qwen2_5_vl", Qwen2_5_VLForConditionalGeneration),
    ],
)
def test_tiny_backbone_is_the_real_architecture_and_repeatable(architecture, model_class):
    state = torch.get_rng_state()
    backbone, twin = tiny_backbone(architecture), tiny_backbone(architecture)
    assert torch.equal(torch.get_rng_state(), state)
    assert type(backbone.model) is model_class
    assert sum(p.numel() for p in backbone.parameters()) < 500_000
    pairs = zip(backbone.parameters(), twin.parameters(), strict=True)
    assert all(torch.equal(left, right) for left, right in pairs)


def test_words_of_the_caller_are_one_token():
    assert len(tiny_backbone(words=["zebra"]).tokenize("zebra")) == 1


def test_scripted_rows_write_their_texts_and_nothing_after_the_block():
    model = toy_model()
    inputs = model.backbone.encode(["a", "b"], [[], []], padding_side="left")
    texts = ["<p>dog</p>[BOX] and more", ""]

    def write():
        rows = generate(model.backbone, inputs, model.vocabulary)
        return [model.backbone.decode(row.ids) for row in rows]

    with Script(model.backbone, texts):
        assert write() == texts
    assert write() != texts
