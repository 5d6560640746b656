"""Names of keypoints in words, and which of them are two sides of one thing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superlink.data.keypoint_sets import keypoint_words, word_sides


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("left_knee", "left knee"),
        ("L_Knee", "left knee"),
        ("leftKnee", "left knee"),
        ("LKnee", "left knee"),
        ("R-ear.base", "right ear base"),
        ("L_F_Paw", "left front paw"),
        ("R_B_Paw", "right back paw"),
        ("Root of tail", "root of tail"),
        ("thumb1", "thumb 1"),
        ("middle_finger4", "middle finger 4"),
        ("face-12", "face 12"),
        ("  nose ", "nose"),
        ("F_B_mark", "f b mark"),  # no side before it
        ("NOSE", "nose"),
        ("", ""),
    ],
)
def test_names_become_words(name, words):
    assert keypoint_words(name) == words


@given(st.text(alphabet="lLrRfFbB_- .1aZ", max_size=12))
def test_words_stay_as_they_are(name):
    words = keypoint_words(name)
    assert keypoint_words(words) == words == words.strip().lower()


def test_sides_are_names_that_differ_in_left_and_right():
    names = ("nose", "Right eye", "left eye", "tip of the left ear", "tip of the right ear")
    assert word_sides(names) == (
        ("Right eye", "left eye"),
        ("tip of the left ear", "tip of the right ear"),
    )


@pytest.mark.parametrize("names", [(), ("nose", "neck"), ("left eye", "right eye", "left ear")])
def test_sides_are_not_known_without_pairs(names):
    assert word_sides(names) is None
