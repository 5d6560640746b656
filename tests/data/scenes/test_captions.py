"""The words of the built-in scenes."""

from __future__ import annotations

import pytest

from superlink.data.scenes.captions import (
    count_phrase,
    describe_names,
    position_word,
    size_word,
)


@pytest.mark.parametrize(
    ("names", "caption"),
    [
        ([], "a picture of nothing in particular"),
        (["apple"], "a picture of an apple"),
        (["dog", "dog"], "a picture of two dogs"),
        (["bus", "person", "bus", "person", "cat"], "a picture of two buses, two people and a cat"),
        (["fish"] * 12, "a picture of 12 fish"),
    ],
)
def test_caption_counts_in_words(names, caption):
    assert describe_names(names) == caption


@pytest.mark.parametrize(
    ("phrase", "text"),
    [
        (("apple", 1), "an apple"),
        (("apple", 1, "small"), "a small apple"),
        (("person", 2, "large"), "two large people"),
        (("dog", 3), "three dogs"),
    ],
)
def test_phrase_takes_an_adjective(phrase, text):
    assert count_phrase(*phrase) == text


@pytest.mark.parametrize(
    ("bbox", "word"),
    [
        ((0, 0, 10, 10), "top left"),
        ((40, 20, 60, 30), "middle"),
        ((90, 40, 100, 50), "bottom right"),
        ((0, 0, 100, 50), "middle"),
    ],
)
def test_position_is_the_ninth_of_the_middle(bbox, word):
    assert position_word(bbox, 100, 50) == word


def test_size_grows_with_the_share():
    assert [size_word(share) for share in (0.01, 0.05, 0.5)] == ["small", "medium", "large"]
