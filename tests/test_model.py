"""Replies: text, routes, predictions, and failures that say why."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from superlink.errors import InputError
from superlink.interfaces import IMAGE, Message, Sample
from superlink.testing.backbones import Script
from superlink.testing.models import toy_model

ARCHITECTURES = ["llava", "qwen2_5_vl"]
WRITTEN = ["nothing", "<p>dog</p>[BOX].", "<p>cat</p>[SPOT] <p>car</p>[BOX] <p>bus</p>[BOX]"]


@pytest.fixture(scope="module")
def models():
    return {name: toy_model(name) for name in ARCHITECTURES}


@pytest.fixture(params=ARCHITECTURES)
def model(models, request):
    return models[request.param]


def photo(seed=0, size=(40, 60)):
    pixels = np.random.default_rng(seed).integers(0, 255, (*size[::-1], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def ask(model, written, prompt="Find: dog", image=None, **options):
    with Script(model.backbone, [written]):
        return model.predict(prompt, image, **options)


def question(index, *answer):
    prompt = ("What is it", "Find: dog", "Find: cat, car and bus")[index]
    return Sample((Message("user", (IMAGE, prompt)), *answer), (photo(index),))


def test_reply_holds_text_routes_and_one_prediction_for_each_call(model):
    reply = ask(model, "a <p>dog</p>[BOX] and <p>cat</p>[BOX] [SPOT].", image=photo())
    assert reply.text == "a dog and cat ."
    assert reply.raw == "a <p>dog</p>[BOX] and <p>cat</p>[BOX] [SPOT]."
    assert [(r.token, r.phrase, r.span, r.row, r.turn) for r in reply.routes] == [
        ("[BOX]", "dog", (2, 5), 0, 1),
        ("[BOX]", "cat", (10, 13), 0, 1),
        ("[SPOT]", "cat", (10, 13), 0, 1),
    ]
    assert [(c.decoder, c.routes, c.image) for c in reply.calls] == [
        ("toy.box", (0, 1), 0),
        ("toy.spot", (2,), 0),
    ]
    boxes, spot = reply.predictions
    assert boxes.phrases == ("dog", "cat")
    assert boxes.bboxes.shape == (2, 4)
    assert spot.bboxes[:, [0, 2]].max() <= 40
    assert spot.bboxes[:, [1, 3]].max() <= 60
    assert reply.failures == ()


def test_batch_of_mixed_rows_gives_the_replies_of_its_rows(model):
    with Script(model.backbone, WRITTEN):
        together = model.answer([question(i) for i in range(3)])
    for index, reply in enumerate(together):
        with Script(model.backbone, [WRITTEN[index]]):
            alone = model.answer([question(index)])[0]
        assert (reply.text, reply.raw, reply.routes) == (alone.text, alone.raw, alone.routes)
        assert reply.calls == alone.calls
        for one, other in zip(reply.predictions, alone.predictions, strict=True):
            assert (one.bboxes - other.bboxes).abs().max() <= 1e-4


def test_forced_routing_gives_the_predictions_of_the_same_text_generated(model):
    with Script(model.backbone, WRITTEN):
        generated = model.answer([question(i) for i in range(3)])
    forced = model.answer(
        [question(i, Message("assistant", text)) for i, text in enumerate(WRITTEN)], "forced"
    )
    for one, other in zip(generated, forced, strict=True):
        assert (one.text, one.calls) == (other.text, other.calls)
        for left, right in zip(one.predictions, other.predictions, strict=True):
            assert (left.bboxes - right.bboxes).abs().max() <= 1e-3


def test_forced_routing_serves_the_last_answer_alone(models):
    earlier = (Message("assistant", "<p>dog</p>[BOX]"), Message("user", "and a cat"))
    sample = question(1, *earlier, Message("assistant", "<p>cat</p>[BOX]"))
    reply = models["llava"].answer([sample], "forced")[0]
    assert [route.phrase for route in reply.routes] == ["cat"]
    assert len(reply.predictions) == 1


def test_raw_text_of_a_reply_goes_into_the_next_turn(models):
    model = models["llava"]
    first = ask(model, "<p>dog</p>[BOX]", image=photo())
    sample = question(1, Message("assistant", first.raw), Message("user", "and a cat"))
    with Script(model.backbone, ["<p>cat</p>[BOX]"]):
        second = model.answer([sample])[0]
    assert [(route.turn, route.phrase) for route in second.routes] == [(3, "cat")]


def test_prompt_with_control_strings_is_escaped_and_shown_as_it_was_typed(model):
    typed = "what is [BOX] or <|assistant|> here"
    copied = model.vocabulary.escape(typed)
    reply = ask(model, f"{copied} <p>dog</p>[BOX]", prompt=typed, image=photo())
    assert reply.text == f"{typed} dog"
    assert reply.text[slice(*reply.routes[0].span)] == "dog"
    assert len(reply.routes) == len(reply.predictions) == 1
    assert reply.raw.startswith(copied)  # it stays harmless in the next turn


def test_routing_token_written_letter_by_letter_calls_nobody(models):
    model = models["llava"]
    with Script(model.backbone, [""]) as script:
        letters = [i for c in "[BOX]" for i in model.backbone.tokenize(c)]
        script.scripts[0][:0] = [*letters, *model.backbone.tokenize(" <p>dog</p>[BOX]")]
        reply = model.predict("Find: dog", photo())
    assert reply.text == "[BOX] dog"
    assert [route.phrase for route in reply.routes] == ["dog"]
    assert len(reply.predictions) == 1


def test_allowed_control_in_a_prompt_is_meant(models):
    model = models["llava"]
    prompt = "this <p>dog</p>[BOX] again"
    samples = [
        Sample((Message("user", (IMAGE, prompt), allow_control=allowed),), (photo(),))
        for allowed in (True, False)
    ]
    counts = [len(model.processor.encode([sample]).routes) for sample in samples]
    assert counts == [1, 0]
    assert ask(model, "yes", prompt=prompt, image=photo(), allow_control=True).text == "yes"


def test_tokens_that_need_an_image_are_not_written_without_one(model):
    reply = ask(model, "[BOX]")
    assert not reply.routes


def test_call_without_an_image_is_a_failure_and_its_text_stays(model):
    reply = model.predict("Find: dog", answer="a <p>dog</p>[BOX]")
    assert reply.text == "a dog"
    assert [route.phrase for route in reply.routes] == ["dog"]
    assert (reply.calls, reply.predictions) == ((), ())
    assert reply.failures[0].reason.startswith("[BOX] needs an image")
    assert reply.failures[0].call.routes == (0,)
    with pytest.raises(InputError, match=r"\[BOX\] needs an image"):
        model.predict("Find: dog", answer="a <p>dog</p>[BOX]", strict=True)


@pytest.mark.parametrize("prompt", ["", "  \n"])
def test_empty_prompt_is_refused(models, prompt):
    with pytest.raises(InputError, match="Expected a prompt that asks something"):
        models["llava"].predict(prompt)


def test_no_samples_give_no_replies(models):
    assert models["llava"].answer([]) == models["llava"].answer([], "forced") == []


@pytest.mark.parametrize("messages", [(), (Message("user", "find"),)])
def test_forced_routing_without_an_answer_is_refused(models, messages):
    with pytest.raises(InputError, match="answer template as the last message"):
        models["llava"].answer([Sample(messages)], "forced")


def test_several_images_are_taken_in_order_and_the_last_is_spoken_of(model):
    images = [photo(0, (40, 60)), photo(1, (80, 20))]
    reply = ask(model, "<p>dog</p>[BOX]", image=images)
    assert reply.calls[0].image == 1
    assert reply.predictions[0].bboxes[:, [1, 3]].max() <= 20


@pytest.mark.parametrize("size", [(1, 1), (1, 1000)])
def test_odd_image_is_answered_or_refused_with_its_size(models, size):
    reply = ask(models["llava"], "<p>dog</p>[BOX]", image=photo(size=size))
    assert (reply.predictions[0].bboxes <= torch.tensor([*size, *size])).all()
    if size == (1, 1000):
        with pytest.raises(InputError, match=r"\(1, 1000\)"):
            models["qwen2_5_vl"].predict("Find: dog", photo(size=size))


def test_answering_leaves_the_mode_as_it_was(models):
    model = models["llava"]
    model.train()
    ask(model, "dog", image=photo())
    assert model.training
    model.eval()


def test_file_that_is_missing_is_refused(models):
    with pytest.raises(InputError, match="No such image file"):
        models["llava"].predict("Find: dog", "missing.jpg")


def test_call_that_its_decoder_refuses_is_a_failure_and_leaves_the_batch_alone(monkeypatch):
    model = toy_model()
    decoder = model.bound["toy.box"].decoder
    prepare = decoder.prepare

    def at_most_one_route(call, *, training):
        if len(call.tokens) > 1:
            raise InputError("at most one route")
        return prepare(call, training=training)

    monkeypatch.setattr(decoder, "prepare", at_most_one_route)
    answers = ("a[BOX]", "a[BOX] b[BOX]", "c[BOX]")
    samples = [question(i, Message("assistant", text)) for i, text in enumerate(answers)]
    replies = model.answer(samples, "forced")
    assert [len(reply.predictions) for reply in replies] == [1, 0, 1]
    assert replies[1].failures[0].reason == "at most one route"
    alone = model.answer(samples[2:], "forced")[0]
    assert torch.allclose(replies[2].predictions[0].bboxes, alone.predictions[0].bboxes, atol=1e-4)
    with pytest.raises(InputError, match="at most one route"):
        model.answer(samples, "forced", strict=True)


def test_reply_says_whether_it_was_written_to_its_end(models):
    model = models["llava"]
    with Script(model.backbone, ["a long answer"]):
        assert model.predict("Find: dog").complete
    with Script(model.backbone, ["a long answer"]):
        assert not model.predict("Find: dog", max_new_tokens=2).complete
