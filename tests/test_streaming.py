"""A stream tells the same as the reply, as it comes."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from superlink.errors import ConfigError, InputError, RoutingError
from superlink.interfaces import (
    IMAGE,
    Message,
    ReplyEvent,
    ResultEvent,
    RouteEvent,
    Sample,
    TextEvent,
)
from superlink.testing.backbones import Script
from superlink.testing.models import toy_model

WRITTEN = "I see <p>a dog</p>[BOX] and <p>a cat</p>[SPOT] é done"


@pytest.fixture(scope="module")
def model():
    return toy_model("qwen2_5_vl")


def photo():
    return Image.new("RGB", (40, 60), "red")


def test_events_come_in_the_order_of_the_answer(model):
    with Script(model.backbone, [WRITTEN]):
        events = list(model.stream("Find: dog", photo()))
    with Script(model.backbone, [WRITTEN]):
        reply = model.predict("Find: dog", photo())
    *told, last = events
    assert isinstance(last, ReplyEvent)
    assert (
        last.reply.text == reply.text == "".join(e.text for e in told if isinstance(e, TextEvent))
    )
    routes = [event.route for event in told if isinstance(event, RouteEvent)]
    assert [(r.token, r.phrase, r.span) for r in routes] == [
        (r.token, r.phrase, r.span) for r in reply.routes
    ]
    results = [event for event in told if isinstance(event, ResultEvent)]
    assert [event.call for event in results] == list(reply.calls)
    assert told[-2:] == results
    kinds = [type(event).__name__ for event in told]
    first = kinds.index("RouteEvent")
    assert "".join(e.text for e in told[:first]) == "I see a dog"
    assert "TextEvent" in kinds[first:]
    assert max(len(e.text) for e in told if isinstance(e, TextEvent)) < 8  # piece by piece


def test_conversation_is_streamed_as_it_is_answered(model):
    first = Message("assistant", "<p>dog</p>[BOX]")
    sample = Sample((Message("user", (IMAGE, "hi")), first, Message("user", "more")), (photo(),))
    with Script(model.backbone, [WRITTEN]):
        (reply,) = model.answer([sample])
    with Script(model.backbone, [WRITTEN]):
        *_, last = model.stream_sample(sample)
    assert last.reply.calls == reply.calls and last.reply.routes == reply.routes
    assert {route.turn for route in last.reply.routes} == {3}


def test_route_is_told_only_with_its_states(model):
    with Script(model.backbone, ["[BOX]"]):
        events = model.stream("Find: dog", photo(), max_new_tokens=1)
        kinds = [type(event).__name__ for event in events]
    assert kinds == ["RouteEvent", "ResultEvent", "ReplyEvent"]


def test_stream_leaves_mode_and_gradients_to_the_caller(model):
    model.train()
    model.connectors.eval()
    with Script(model.backbone, [WRITTEN]):
        first, second = (model.stream("Find: dog", photo()) for _ in range(2))
        next(first), next(second)
        assert model.training and not model.connectors.training and torch.is_grad_enabled()
        first.close(), second.close()
    assert model.training and torch.is_grad_enabled()
    model.predict("Find: dog", photo(), max_new_tokens=2)
    assert model.training and not model.connectors.training
    model.eval()


def test_special_token_that_is_spelled_by_letters_is_held_back(model):
    letters = model.backbone.tokenize("<|user") + model.backbone.tokenize("|>")
    assert len(letters) > 1
    with Script(model.backbone, [""]) as script:
        script.scripts[0] = [*model.backbone.tokenize("ab "), *letters, *script.scripts[0]]
        events = list(model.stream("Find: dog", photo()))
    told = "".join(event.text for event in events if isinstance(event, TextEvent))
    assert told == events[-1].reply.text


def test_model_without_its_link_answers_no_more():
    model = toy_model()
    model.detach()
    with pytest.raises(RoutingError, match="taken off"):
        model.predict("Find: dog")


def test_bad_input_is_refused(model):
    with pytest.raises(InputError, match="Expected a prompt"):
        next(model.stream("  "))


def test_several_replies_are_for_answer(model):
    with pytest.raises(InputError, match="num_return_sequences"):
        model.predict("Find: dog", photo(), num_return_sequences=2)


def test_several_replies_to_each_sample(model):
    from superlink.replies import sample_from_prompt

    samples = [sample_from_prompt("Find: dog", [photo()]), sample_from_prompt("hello")]
    replies = model.answer(samples, num_return_sequences=2, max_new_tokens=4)
    assert len(replies) == 4
    assert replies[0].raw == replies[1].raw
    assert replies[2].raw == replies[3].raw


@pytest.mark.parametrize(
    "options", [{"num_return_sequences": 0}, {"routing": "forced", "top_k": 3}]
)
def test_settings_without_a_meaning_are_refused(model, options):
    from superlink.replies import sample_from_prompt

    with pytest.raises(ConfigError, match="at least 1, and forced routing picks no tokens"):
        model.answer([sample_from_prompt("Find: dog", answer="a")], **options)
