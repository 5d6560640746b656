"""A token that completes another one: a run of both is one call, and alone it is a failure."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from PIL import Image

from superlink.errors import ConfigError, InputError
from superlink.interfaces import IMAGE, Message, Route, Sample
from superlink.link import Binding, RoutingVocabulary
from superlink.testing import TOY_BOX
from superlink.testing.models import toy_model

POSE = replace(
    TOY_BOX, name="toy.pose", routing_tokens=("[POSE]", "[KPT]"), follows={"[KPT]": "[POSE]"}
)
TARGET = {"bboxes": torch.tensor([[4.0, 4.0, 20.0, 20.0]]), "labels": torch.tensor([0])}
PICTURE = Image.new("RGB", (40, 60), "red")


def calls_of(tokens):
    """The calls of one turn as indices of its routes; `[DET]` is another decoder's."""
    bindings = [
        Binding("[POSE]", "toy.pose", "toy.pose", 2),
        Binding("[KPT]", "toy.pose", "toy.pose", 2, follows="[POSE]"),
        Binding("[DET]", "toy.box", "toy.box", 2),
    ]
    routes = [Route(0, 1, token) for token in tokens.split()]
    messages = [Message("user", (IMAGE, "find")), Message("assistant", tokens)]
    vocabulary = RoutingVocabulary(bindings)
    calls = vocabulary.group(routes, [messages])
    return [call.routes for call in calls], [vocabulary.lacks_leader(c, routes) for c in calls]


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ("[POSE] [KPT] [KPT]", [(0, 1, 2)]),
        ("[POSE] [POSE] [KPT]", [(0, 1, 2)]),
        ("[POSE] [KPT] [POSE] [KPT] [KPT]", [(0, 1), (2, 3, 4)]),
        ("[POSE] [DET] [KPT] [DET]", [(0, 2), (1, 3)]),
        ("[POSE] [POSE]", [(0, 1)]),
    ],
)
def test_a_run_belongs_to_the_run_just_before_it(tokens, expected):
    routes, orphans = calls_of(tokens)
    assert routes == expected
    assert not any(orphans)


def test_a_run_with_nothing_before_it_is_a_call_that_lacks_its_leader():
    routes, orphans = calls_of("[KPT] [KPT] [POSE] [KPT]")
    assert routes == [(0, 1), (2, 3)]
    assert orphans == [True, False]


def test_both_kinds_reach_the_decoder_as_one_call():
    model = toy_model(specs=(POSE,))
    sample = Sample(
        (
            Message("user", (IMAGE, "where?")),
            Message("assistant", "<p>man</p>[POSE]: <p>nose</p>[KPT]; <p>dog</p>[POSE]"),
        ),
        (PICTURE,),
        targets=(TARGET, TARGET),
    )
    links = model(**model.processor([sample])).links["toy.pose"]
    assert links.counts().tolist() == [2, 1]
    assert [links.phrases_of(call) for call in range(2)] == [("man", "nose"), ("dog",)]


def test_an_orphan_is_a_failure_of_its_route_alone():
    model = toy_model(specs=(POSE,))
    (reply,) = model.answer(
        [
            Sample(
                (
                    Message("user", (IMAGE, "where?")),
                    Message("assistant", "<p>nose</p>[KPT] <p>man</p>[POSE]"),
                ),
                (PICTURE,),
            )
        ],
        "forced",
    )
    assert reply.text == "nose man"
    assert [call.routes for call in reply.calls] == [(1,)]
    (failure,) = reply.failures
    assert failure.call.routes == (0,)
    assert failure.reason.startswith("[KPT] completes the run of [POSE] just before it")


def test_training_refuses_an_orphan():
    model = toy_model(specs=(POSE,))
    messages = (Message("user", (IMAGE, "where?")), Message("assistant", "<p>nose</p>[KPT]"))
    with pytest.raises(InputError, match="phrase='nose'"):
        model.processor([Sample(messages, (PICTURE,), targets=(TARGET,))])


@pytest.mark.parametrize(
    ("follows", "told"),
    [
        ({"[DET]": "[POSE]"}, "follows may only name the decoder's own tokens"),
        ({"[KPT]": "[DET]"}, "follows another one of its decoder"),
        ({"[KPT]": "[POSE]", "[POSE]": "[KPT]"}, "which follows none"),
    ],
)
def test_a_spec_whose_tokens_follow_nobody_is_refused(follows, told):
    with pytest.raises(ConfigError, match=told):
        replace(POSE, follows=follows)
