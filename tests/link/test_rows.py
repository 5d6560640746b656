"""What a row may write: routes, positions of the context."""

from __future__ import annotations

import pytest

from superlink.errors import InputError, RoutingError
from superlink.interfaces import Message, Sample
from superlink.link import GenerationOptions, generate
from superlink.testing.backbones import Script, tiny_backbone
from superlink.testing.models import toy_model


@pytest.fixture
def model():
    return toy_model("qwen2_5_vl")


def sample(text="Find: dog"):
    return Sample((Message("user", text),))


def write(model, script, options, **arguments):
    inputs = model.processor.encode([sample()], padding_side="left").inputs
    with Script(model.backbone, [script]):
        return generate(model.backbone, inputs, model.vocabulary, options, **arguments)[0]


def routes(model, row):
    return [b.token for i in row.ids if (b := model.vocabulary.binding_of(i))]


@pytest.mark.parametrize(("limit", "expected"), [(0, 0), (1, 1), (2, 2), (None, 3)])
def test_no_more_routes_than_allowed_are_written(model, limit, expected):
    row = write(model, "[BOX][SPOT][DOT]", GenerationOptions(3, max_routes=limit))
    assert len(routes(model, row)) == len(row.states) == expected


def test_forbidden_tokens_and_a_limit_hold_together(model):
    options = GenerationOptions(3, max_routes=1)
    row = write(model, "[BOX][SPOT][DOT]", options, forbidden=[frozenset({"[BOX]"})])
    assert routes(model, row) == ["[SPOT]"]


def test_answer_ends_where_the_context_ends(model):
    used = model.processor.encode([sample()]).inputs["attention_mask"].sum()
    model.backbone.context_length = int(used) + 5
    row = write(model, "one two three four five six seven", GenerationOptions())
    assert len(row.ids) == 5
    assert not row.complete


def test_route_is_written_only_where_its_slots_have_room(model):
    used = model.processor.encode([sample()]).inputs["attention_mask"].sum()
    model.backbone.context_length = int(used) + 4
    row = write(model, "a [SPOT][SPOT]", GenerationOptions())
    assert routes(model, row) == []


def test_conversation_longer_than_the_context_is_refused(model):
    model.backbone.context_length = 4
    with pytest.raises(InputError, match=r"reads 4 tokens at most.*key='Find: dog and more'"):
        model.predict("Find: dog and more")
    with pytest.raises(InputError, match="reads 4 tokens"):
        model.predict("Find: dog and more", answer="a")


def test_context_is_read_from_the_config():
    assert tiny_backbone().context_length == 1024


@pytest.mark.parametrize("answer", ["<p>dog</p>[POSE]", "a dog [SEG]", "<p>x</p>[BOX][ODD]"])
def test_routing_token_that_nobody_answers_is_refused(model, answer):
    with pytest.raises(RoutingError, match=r"answers to \[(POSE|SEG|ODD)\].*\[BOX\], \[SPOT\]"):
        model.predict("Find: dog", answer=answer)
    with pytest.raises(RoutingError, match="answers to"):
        model.processor([Sample((Message("user", "x"), Message("assistant", answer)))])


def test_brackets_in_a_text_are_no_route(model):
    assert model.predict("Find: dog", answer="see [NOTE] and [1]").text == "see [NOTE] and [1]"


def test_unknown_forbidden_token_is_refused(model):
    with pytest.raises(RoutingError, match=r"\[POSE\]"):
        model.predict("Find: dog", forbidden=["[POSE]"])
