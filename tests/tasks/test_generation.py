"""A caption is asked for, and a picture is the target of the one route."""

from __future__ import annotations

import random

import pytest
from PIL import Image

from superlink.data import CaptionedImage, read_icons
from superlink.errors import ConfigError
from superlink.link import RoutingVocabulary
from superlink.link.routing import Binding
from superlink.tasks.generation import generation_conversation


def _record(caption="two red apples", **fields):
    image = Image.new("RGB", (8, 6), "red")
    return CaptionedImage(image, ((caption, ()),), "one", **fields)


def _sample(record, seed=0, training=False, **options):
    return generation_conversation(record, random.Random(seed), training, **options)


def test_evaluation_asks_plainly_and_has_the_picture_and_no_image():
    sample = _sample(_record(attributes={"object": "apple", "colour": "red"}))
    assert [m.text for m in sample.messages] == ["Draw two red apples.", "Here it is[GEN]."]
    assert sample.images == () and sample.key == "one"
    (target,) = sample.targets
    assert target["images"][0].size == (8, 6) and target["images"][0].mode == "RGB"
    assert target["captions"] == ("two red apples",)
    assert target["attributes"] == ({"object": "apple", "colour": "red"},)


def test_training_varies_the_words_and_says_the_caption_in_all_of_them():
    samples = [
        _sample(_record(), seed, True, variety=0.8, answer_variety=0.5) for seed in range(60)
    ]
    questions = {sample.messages[0].text for sample in samples}
    assert len(questions) > 8 and all("two red apples" in text for text in questions)
    assert {"Draw two red apples.", "draw two red apples"} <= questions
    answers = {sample.messages[1].text for sample in samples}
    assert len(answers) > 3 and all(text.count("[GEN]") == 1 for text in answers)


def test_training_draws_one_of_several_captions_and_evaluation_asks_with_the_first():
    record = _record("a cat", other_captions=("a grey cat", "an animal"))
    drawn = {_sample(record, seed, True).targets[0]["captions"] for seed in range(40)}
    assert drawn == {("a cat",), ("a grey cat",), ("an animal",)}
    assert {_sample(record, seed).targets[0]["captions"] for seed in range(9)} == {("a cat",)}


@pytest.mark.parametrize(
    ("caption", "question"),
    [
        ("A man on a horse.", "Draw A man on a horse."),
        ("zwei rote Äpfel", "Draw zwei rote Äpfel."),
        ("左边有两个红苹果。", "Draw 左边有两个红苹果。"),
        (" {braces} and %s ", "Draw {braces} and %s."),
    ],
)
def test_captions_go_in_as_they_are(caption, question):
    assert _sample(_record(caption)).messages[0].text == question


def test_a_caption_that_looks_like_a_token_calls_nobody():
    sample = _sample(_record("a sign that says [GEN] and <p>"))
    vocabulary = RoutingVocabulary([Binding("[GEN]", "d", "d", 4)])
    assert sample.messages[0].text == "Draw a sign that says [GEN] and <p>."
    assert not sample.messages[0].allow_control
    assert "[GEN]" not in vocabulary.escape(sample.messages[0].text)


def test_the_token_is_a_choice_and_must_be_one():
    assert _sample(_record(), token="[PICTURE]").messages[1].text == "Here it is[PICTURE]."
    with pytest.raises(ConfigError, match="GEN"):
        _sample(_record(), token="GEN")


def test_icons_become_samples():
    record = read_icons(num_images=1)[0]
    sample = _sample(record)
    assert sample.messages[0].text == f"Draw {record.caption}."
    assert sample.targets[0]["images"][0].size == (48, 48)
