"""Dialogues become messages as they are, and call nobody."""

from __future__ import annotations

import random

import pytest
from PIL import Image

from superlink.data import Dialogue
from superlink.errors import InputError
from superlink.interfaces import IMAGE
from superlink.link import Binding, RoutingVocabulary
from superlink.tasks.dialogue import dialogue_conversation

RED, BLUE = (Image.new("RGB", (4, 4), color) for color in ("red", "blue"))


def _sample(*turns, images=(), training=True):
    return dialogue_conversation(Dialogue(turns, images, "one"), random.Random(0), training)


@pytest.mark.parametrize("training", [True, False])
def test_marks_become_images_in_their_order(training):
    sample = _sample(
        ("system", "Be kind."),
        ("user", "<image>\nWhat is this?"),
        ("assistant", "Red."),
        ("user", "And <image> beside <image>?"),
        ("assistant", "Blue and red."),
        images=(RED, BLUE, RED),
        training=training,
    )
    assert [message.role for message in sample.messages] == [
        "system",
        "user",
        "assistant",
        "user",
        "assistant",
    ]
    assert sample.messages[1].parts == (IMAGE, "What is this?")
    assert sample.messages[3].parts == ("And ", IMAGE, " beside ", IMAGE, "?")
    assert [image.getpixel((0, 0))[2] for image in sample.images] == [0, 255, 0]
    assert sample.targets == () and sample.key == "one"


def test_mark_at_the_end_takes_its_line_break_along():
    sample = _sample(("user", "What is this?\n<image>"), ("assistant", "Red."), images=(RED,))
    assert sample.messages[0].parts == ("What is this?", IMAGE)


def test_text_alone_has_no_images():
    sample = _sample(("user", "Hi"), ("assistant", "Hello"))
    assert sample.images == () and sample.messages[0].parts == ("Hi",)


def test_answers_that_look_like_routes_call_nobody_and_read_as_before():
    said = "Write <p>a dog</p>[DET] or [GEN] in HTML."
    sample = _sample(("user", "How?"), ("assistant", said))
    vocabulary = RoutingVocabulary(
        [Binding("[DET]", "boxes", "boxes", 4), Binding("[GEN]", "images", "images", 4)]
    )
    parsed = vocabulary.parse(vocabulary.expand(sample.messages[1].text))
    assert parsed.routes == () and parsed.text == said


def test_files_are_opened(tmp_path):
    RED.save(tmp_path / "a.png")
    sample = _sample(("user", "<image>"), ("assistant", "Red."), images=(tmp_path / "a.png",))
    assert sample.images[0].getpixel((0, 0)) == (255, 0, 0)
    with pytest.raises(InputError, match=r"b\.png"):
        _sample(("user", "<image>"), ("assistant", "Red."), images=(tmp_path / "b.png",))


@pytest.mark.parametrize(
    "turns",
    [
        (("assistant", "Hello"), ("user", "Hi")),
        (("system", "Be kind."),),
        (("system", "Be kind."), ("assistant", "Hello")),
        (),
    ],
)
def test_dialogue_that_nobody_begins_is_refused(turns):
    with pytest.raises(InputError, match=r"begins with a turn of the user.*'one'"):
        _sample(*turns)


@pytest.mark.parametrize("role", ["assistant", "system"])
def test_image_in_another_turn_is_refused(role):
    with pytest.raises(InputError, match=f"turn of the {role} in 'one'"):
        _sample(("user", "Hi"), (role, "<image>"), images=(RED,))
