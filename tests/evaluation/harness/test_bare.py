"""A model without links answers word for word what a linked one answers that may not route."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from superlink.errors import ConfigError, InputError
from superlink.evaluation.harness import BareModel
from superlink.interfaces import IMAGE, REGION, Message, Region, Sample
from superlink.testing import tiny_backbone, toy_model

PROMPTS = ("What is this?", "Is there a dog? Answer yes or no.", "Say <image> and [DET], please.")


def _samples():
    pictures = [Image.new("RGB", (50 + 20 * i, 40), (60 * i, 90, 30)) for i in range(3)]
    asked = [
        Sample((Message("user", (IMAGE, text)),), (picture,), key=text)
        for text, picture in zip(PROMPTS, pictures, strict=True)
    ]
    turns = (Message("user", "hello"), Message("assistant", "a dog"), Message("user", "and now?"))
    return [*asked, Sample(turns, key="text alone")]


@pytest.mark.parametrize("architecture", ["llava", "qwen2_5_vl"])
def test_bare_and_linked_models_write_the_same(architecture):
    samples = _samples()
    bare, linked = BareModel(tiny_backbone(architecture)), toy_model(architecture)
    encoded = [
        model.processor.encode(samples, padding_side="left", add_generation_prompt=True).inputs
        for model in (bare, linked)
    ]
    with torch.no_grad():
        ours, theirs = (
            model.backbone(inputs).logits
            for model, inputs in zip((bare, linked), encoded, strict=True)
        )
    assert torch.equal(ours, theirs[..., : ours.shape[-1]])
    replies = bare.answer(samples, max_new_tokens=12)
    wanted = linked.answer(samples, max_new_tokens=12, max_routes=0)
    assert [reply.raw for reply in replies] == [reply.raw for reply in wanted]
    assert [reply.text for reply in replies] == [reply.text for reply in wanted]
    assert all(reply.raw and not reply.routes for reply in replies)


def test_a_bare_model_writes_what_transformers_writes():
    bare = BareModel(tiny_backbone("qwen2_5_vl"))
    samples = _samples()[:2]
    inputs = bare.processor.encode(samples, padding_side="left", add_generation_prompt=True).inputs
    ids = bare.backbone.model.generate(**inputs, max_new_tokens=10, do_sample=False)
    wanted = [bare.backbone.decode(row[inputs["input_ids"].shape[1] :].tolist()) for row in ids]
    assert [reply.raw for reply in bare.answer(samples, max_new_tokens=10)] == wanted


def test_a_bare_model_leaves_its_tokenizer_as_it_was():
    backbone = tiny_backbone()
    before = backbone.special_tokens()
    BareModel(backbone).answer(_samples()[:1], max_new_tokens=2)
    assert backbone.special_tokens() == before
    assert "<p>" not in before


def test_what_detach_gives_is_bare():
    linked = toy_model()
    wanted = linked.answer(_samples(), max_new_tokens=6, max_routes=0)
    with pytest.raises(ConfigError, match="Take what `detach"):
        BareModel(linked.backbone)
    found = BareModel(linked.detach()).answer(_samples(), max_new_tokens=6)
    assert [reply.text for reply in found] == [reply.text for reply in wanted]


def test_settings_reach_the_sampler():
    bare = BareModel(tiny_backbone())
    sample = _samples()[:1]
    greedy = bare.answer(sample, max_new_tokens=8)[0].raw
    drawn = {
        bare.answer(sample, max_new_tokens=8, do_sample=True, temperature=5.0)[0].raw
        for _ in range(3)
    }
    assert drawn != {greedy}


def test_bad_questions_to_a_bare_model():
    bare = BareModel(tiny_backbone())
    assert bare.answer([]) == []
    with pytest.raises(ConfigError, match="no routes to force"):
        bare.answer(_samples(), "forced")
    with pytest.raises(InputError, match="needs messages"):
        bare.answer([Sample((), key="nothing")])


def test_regions_are_refused():
    asked = Message("user", (IMAGE, "what is ", REGION))
    sample = Sample((asked,), (Image.new("RGB", (40, 30)),), regions=(Region.box(2, 2, 9, 9),))
    with pytest.raises(ConfigError, match="no region encoder"):
        BareModel(tiny_backbone()).answer([sample])
