"""A route may name the image that it speaks of, where its decoder lets it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PIL import Image

from superlink.errors import InputError
from superlink.interfaces import IMAGE, Message, Route, Sample
from superlink.link import Binding, RoutingVocabulary
from superlink.testing import TOY_BOX
from superlink.testing.models import toy_model

EDIT = replace(TOY_BOX, name="toy.edit", routing_tokens=("[EDIT]",), names_image=True)
SHOWN = Message("user", (IMAGE, IMAGE, "make them brighter"))


def images_of(*phrases, names_image=True, shown=SHOWN):
    """The image of each call of one turn, with the indices of its routes."""
    vocabulary = RoutingVocabulary([Binding("[EDIT]", "e", "e", 2, names_image=names_image)])
    routes = [Route(0, 1, "[EDIT]", phrase) for phrase in phrases]
    calls = vocabulary.group(routes, [[shown, Message("assistant", "")]])
    return [(call.image, call.routes) for call in calls]


@pytest.mark.parametrize("phrase", ["", "the sky", "image two"])
def test_without_a_name_it_is_the_last_image(phrase):
    assert images_of(phrase) == [(1, (0,))]


@pytest.mark.parametrize(("phrase", "index"), [("image 1", 0), ("Picture 2", 1), ("IMAGE 2", 1)])
def test_a_name_counts_from_one(phrase, index):
    assert images_of(phrase) == [(index, (0,))]


@pytest.mark.parametrize("phrase", ["image 0", "image 3"])
def test_a_name_of_an_image_that_is_not_there_has_none(phrase):
    assert images_of(phrase) == [(None, (0,))]


def test_routes_that_name_different_images_are_different_calls():
    assert images_of("image 1", "image 2", "image 1") == [(0, (0, 2)), (1, (1,))]


def test_other_decoders_take_the_words_for_what_they_look_for():
    assert images_of("image 1", names_image=False) == [(1, (0,))]


def test_a_reply_is_about_the_image_that_it_names_and_fails_where_there_is_none():
    model = toy_model(specs=(EDIT,))
    pictures = (Image.new("RGB", (40, 60)), Image.new("RGB", (20, 30)))
    messages = (SHOWN, Message("assistant", "<p>image 1</p>[EDIT] <p>image 4</p>[EDIT]"))
    (reply,) = model.answer([Sample(messages, pictures)], "forced")
    assert [call.image for call in reply.calls] == [0]
    assert "image 4" in reply.failures[0].reason
    with pytest.raises(InputError, match="the one that it names: 'image 4'"):
        model.answer([Sample(messages, pictures)], "forced", strict=True)
