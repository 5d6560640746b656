"""What a diagnosis measures, against the same figures counted by hand."""

from __future__ import annotations

import random

import pytest
import torch
from PIL import Image

from superlink.diagnosis.links import diagnose_links, draw_samples
from superlink.diagnosis.links.collapse import mean_cosine
from superlink.errors import InputError
from superlink.interfaces import IMAGE, Message, Sample
from superlink.testing.models import toy_model
from superlink.testing.toy_decoder import TOY_BOX


@pytest.fixture
def model():
    return toy_model("llava")


def asked(name, key="", *, targets=True, image=True):
    token = TOY_BOX.routing_tokens[0]
    question = (IMAGE, f"Find: {name}") if image else (f"Find: {name}",)
    told = Message("user", question), Message("assistant", f"<p>{name}</p>{token}")
    target = {"bboxes": torch.tensor([[2.0, 2.0, 20.0, 20.0]]), "labels": torch.tensor([0])}
    images = (Image.new("RGB", (32, 32), "green"),) if image else ()
    return Sample(told, images, targets=(target,) if targets else (), key=key or name)


def found(model, samples, **options):
    diagnosis = diagnose_links(model, samples, num_replies=0, **options)
    return {(f.check, f.subject): f for f in diagnosis.findings}


def test_chances_are_those_of_the_whole_forward(model):
    token = TOY_BOX.routing_tokens[0]
    samples = [asked("dog", "a"), asked("red car", "b"), asked("cat", "c")]
    chances = []
    for sample in samples:
        encoded = model.processor.encode([sample])
        ids = encoded.inputs["input_ids"][0]
        with torch.no_grad():
            logits = model.backbone(encoded.inputs).logits[0].softmax(-1)
        (place,) = (ids == model.vocabulary.ids[token]).nonzero().flatten().tolist()
        chances.append(float(logits[place - 1, model.vocabulary.ids[token]]))
    figures = found(model, samples, batch_size=2)["routing tokens", token].figures
    assert figures["mean"] == pytest.approx(sum(chances) / 3, rel=1e-3)
    assert figures["minimum"] == pytest.approx(min(chances), rel=1e-3)
    assert figures["places"] == 3


def test_gradients_are_those_of_a_backward_for_each_loss(model):
    samples = [asked("dog")]
    batch = {**model.processor(samples)}
    del batch["dropped"]
    losses = model(**batch).losses
    total = sum(v / c for k, (v, c) in losses.items() if k.startswith(TOY_BOX.name))
    total.backward()
    norm = float(model.queries.banks["toy-box"].grad.norm())
    assert norm > 0
    model.zero_grad()
    gradient = found(model, samples)["gradients", TOY_BOX.name]
    assert gradient.figures["queries"] == pytest.approx(norm, rel=1e-4)


def test_frozen_parts_have_no_norm(model):
    model.backbone.requires_grad_(False)
    gradient = found(model, [asked("dog")])["gradients", TOY_BOX.name]
    assert "backbone" not in gradient.figures
    assert gradient.status != "problem"


def test_decoder_without_weight_is_named(model):
    model.lm_weight = 0.0
    language = found(model, [asked("dog")])["gradients", "lm"]
    assert (language.status, language.advice) == ("problem", "lm_weight is 0: raise it.")


def test_lessons_in_words_need_neither_image_nor_target(model):
    findings = found(model, [asked("dog", targets=False, image=False)])
    assert ("gradients", TOY_BOX.name) not in findings
    assert ("routing tokens", TOY_BOX.routing_tokens[0]) in findings


def test_data_without_routes_say_nothing_of_the_link(model):
    chat = Sample((Message("user", "hello"), Message("assistant", "hi")))
    finding = found(model, [chat])["routing tokens", "all"]
    assert finding.status == "warning"


def test_samples_that_the_model_cannot_take_are_counted_and_left_out():
    model = toy_model("llava", max_length=200)
    samples = [asked("dog", "a"), asked("dog " * 300, "b"), asked("dog " * 300, "c")]
    finding = found(model, samples, batch_size=2)["samples", "of the diagnosis"]
    assert finding.figures["broken"] == 2


def test_mean_cosine_of_pairs():
    vectors = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]])
    assert mean_cosine(vectors) == pytest.approx(1 / 3)


def converse(record, rng: random.Random, training):
    if record is None:
        raise InputError("no such file")
    assert training
    return Sample((Message("user", record),), key=f"{record}-{rng.random()}")


def test_samples_come_by_turns_from_each_data_set_and_are_the_same_again():
    sources = [(["a"] * 9, converse), (["b"] * 2, converse)]
    first, _ = draw_samples(sources, 6, seed=1)
    assert [s.key[0] for s in first] == list("ababab")
    assert [s.key for s in first] == [s.key for s in draw_samples(sources, 6, seed=1)[0]]
    assert [s.key for s in first] != [s.key for s in draw_samples(sources, 6, seed=2)[0]]
    assert len({s.key for s in first}) == 6


def test_records_that_cannot_be_read_are_a_warning_and_none_at_all_an_error():
    samples, (finding,) = draw_samples([(["a", None], converse)], 8, seed=0)
    assert (len(samples), finding.status) == (1, "warning")
    assert "no such file" in finding.symptom
    with pytest.raises(InputError, match="needs samples"):
        draw_samples([([None], converse)], 8, seed=0)
    with pytest.raises(InputError, match="found no records"):
        draw_samples([([], converse)], 8, seed=0)
