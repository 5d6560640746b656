"""A stream tells the same as the reply, as it comes."""

from __future__ import annotations

import pytest
from PIL import Image

from superlink.errors import InputError
from superlink.interfaces import ReplyEvent, ResultEvent, RouteEvent, TextEvent
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


def test_route_is_told_only_with_its_states(model):
    with Script(model.backbone, ["[BOX]"]):
        events = model.stream("Find: dog", photo(), max_new_tokens=1)
        kinds = [type(event).__name__ for event in events]
    assert kinds == ["RouteEvent", "ResultEvent", "ReplyEvent"]


def test_stream_that_is_left_gives_the_model_back(model):
    model.train()
    with Script(model.backbone, [WRITTEN]):
        events = model.stream("Find: dog", photo())
        next(events)
        assert not model.training
        events.close()
    assert model.training
    model.eval()


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
