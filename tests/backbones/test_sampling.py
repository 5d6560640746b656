"""Tokens are picked as transformers' `generate` picks them."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from superlink.errors import ConfigError
from superlink.interfaces import IMAGE, Message, Sample
from superlink.link import GenerationOptions, generate
from superlink.testing.backbones import Script, tiny_backbone
from superlink.testing.models import toy_model

NO_ROUTES = {"max_routes": 0}


@pytest.fixture(scope="module")
def model():
    return toy_model("qwen2_5_vl")


def inputs_of(model, *prompts):
    photo = Image.new("RGB", (40, 60), "red")
    samples = [Sample((Message("user", (IMAGE, prompt)),), (photo,)) for prompt in prompts]
    return model.processor.encode(samples, padding_side="left", add_generation_prompt=True).inputs


def write(model, inputs, **options):
    settings = {k: v for k, v in options.items() if k not in GenerationOptions.__dataclass_fields__}
    rest = {k: v for k, v in options.items() if k not in settings}
    options = GenerationOptions(**rest, settings=settings)
    return [row.ids for row in generate(model.backbone, inputs, model.vocabulary, options)]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"repetition_penalty": 1.5},
        {"no_repeat_ngram_size": 2},
        {"suppress_tokens": [300, 301, 302]},
        {"do_sample": True, "top_k": 1},
    ],
)
def test_writes_what_transformers_writes(model, settings):
    inputs = inputs_of(model, "Find: dog", "hello, what is this")
    bare = tiny_backbone("qwen2_5_vl")
    torch.manual_seed(0)
    ids = write(model, inputs, max_new_tokens=12, **NO_ROUTES, **settings)
    torch.manual_seed(0)
    options = {"do_sample": False} | settings
    expected = bare.model.generate(**inputs, max_new_tokens=12, **options)
    width = inputs["input_ids"].shape[1]
    eos = min(bare.eos_ids())
    assert ids == [
        row[: row.index(eos)] if eos in row else row for row in expected[:, width:].tolist()
    ]


def test_sampling_is_a_function_of_the_seed(model):
    inputs = inputs_of(model, "Find: dog", "hello")
    texts = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        texts.append(write(model, inputs, max_new_tokens=8, do_sample=True, **NO_ROUTES))
    assert texts[0] == texts[1] != texts[2]


def test_static_cache_writes_what_a_dynamic_one_writes(model):
    inputs = inputs_of(model, "Find: dog", "hello")
    with Script(model.backbone, ["a <p>dog</p>[BOX] b", "[SPOT][DOT] c"]):
        kept = generate(model.backbone, inputs, model.vocabulary)
    options = GenerationOptions(32, max_routes=2, settings={"cache_implementation": "static"})
    with Script(model.backbone, ["a <p>dog</p>[BOX] b", "[SPOT][DOT] c"]):
        static = generate(model.backbone, inputs, model.vocabulary, options)
    for left, right in zip(kept, static, strict=True):
        assert left.ids == right.ids
        for a, b in zip(left.states, right.states, strict=True):
            assert (a - b).abs().max() <= 1e-4


def test_stop_string_ends_a_row_with_it(model):
    inputs = inputs_of(model, "Find: dog", "Find: cat")
    with Script(model.backbone, ["a dog, then more", "nothing at all"]):
        options = GenerationOptions(settings={"stop_strings": ["dog"]})
        rows = generate(model.backbone, inputs, model.vocabulary, options)
    assert [model.backbone.decode(row.ids) for row in rows] == ["a dog", "nothing at all"]
    assert [row.complete for row in rows] == [True, True]


def test_stopping_criterion_and_logits_processor_of_a_user_run(model):
    inputs = inputs_of(model, "Find: dog")
    word = model.backbone.tokenize("dog")[0]
    seen = []

    def only_dogs(ids, scores):
        return torch.full_like(scores, -torch.inf).index_fill(1, torch.tensor([word]), 0.0)

    def after_three(ids, scores):
        seen.append(ids.shape[1])
        return torch.full((len(ids),), len(seen) == 3)

    (row,) = write(model, inputs, logits_processor=[only_dogs], stopping_criteria=[after_three])
    assert row == [word] * 3
    assert seen == [inputs["input_ids"].shape[1] + n for n in (1, 2, 3)]


def test_slots_of_earlier_turns_do_not_disturb_processors(model):
    photo = Image.new("RGB", (40, 60), "red")
    messages = (
        Message("user", (IMAGE, "Find: dog")),
        Message("assistant", "<p>dog</p>[BOX]"),
        Message("user", "and now?"),
    )
    encoded = model.processor.encode(
        [Sample(messages, (photo,))], padding_side="left", add_generation_prompt=True
    )
    ids = write(model, encoded.inputs, max_new_tokens=4, repetition_penalty=1.3, **NO_ROUTES)
    assert len(ids[0]) <= 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_beams": 2}, "num_beams=1"),
        ({"assistant_model": object()}, "Assisted decoding"),
        ({"prompt_lookup_num_tokens": 3}, "Assisted decoding"),
        ({"num_return_sequences": 2}, r"SuperLinkModel\.answer"),
        ({"streamer": object()}, r"SuperLinkModel\.stream"),
        ({"use_cache": False}, "cache stays on"),
        ({"temprature": 1.0}, "temprature"),
        ({"cache_implementation": "static"}, "max_routes"),
    ],
)
def test_settings_that_cannot_be_served_are_refused(model, settings, message):
    with pytest.raises(ConfigError, match=message):
        write(model, inputs_of(model, "Find: dog"), **settings)


@pytest.mark.parametrize(
    "options", [{"max_new_tokens": -1}, {"max_routes": -1}, {"feeding": "blocks"}]
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ConfigError, match="Received"):
        GenerationOptions(**options)
