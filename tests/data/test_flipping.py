"""Mirrored records: what was left is right, in pixels, boxes, masks and words alike."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from superlink.data import AnnotatedImage, AnnotatedObject, CountedImage, ReferringImage
from superlink.data.flipping import mirror_words, mirrored, sometimes_mirrored
from superlink.data.scenes import read_scene_expressions


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the left apple", "the right apple"),
        ("Left of the bright light", "Right of the bright light"),
        ("the leftmost dog, not the rightmost", "the rightmost dog, not the leftmost"),
        ("LEFT", "RIGHT"),
        ("the right-hand door", "the left-hand door"),
        ("leftover rice, alright", "leftover rice, alright"),
        ("upright", "upright"),
    ],
)
def test_words_are_exchanged_whole(text, expected):
    assert mirror_words(text) == expected


@given(st.text(alphabet="leftrigh mos-", max_size=30))
def test_words_exchanged_twice_are_as_before(text):
    assert mirror_words(mirror_words(text)) == text


def _record(kind):
    pixels = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)
    mask = np.zeros((4, 6), np.bool_)
    mask[1:3, 0:2] = True
    item = AnnotatedObject("cat", (0, 1, 2, 3), mask, attributes={"position": "top left", "n": 2})
    image, void = Image.fromarray(pixels), ~mask
    if kind == "annotated":
        return AnnotatedImage(image, (item,), ("cat",), "k", "a cat on the left", void=void)
    if kind == "referring":
        return ReferringImage(image, "the left cat", (item,), "k", void=void)
    return CountedImage(image, "cat", 1, "k", (item,))


@pytest.mark.parametrize("kind", ["annotated", "referring", "counted"])
def test_all_parts_of_a_record_go_together(kind):
    record = _record(kind)
    turned = mirrored(record)
    before, after = np.asarray(record.open()), np.asarray(turned.open())
    assert (after == before[:, ::-1]).all()
    (item,), (old,) = turned.objects, record.objects
    assert item.bbox == (4, 1, 6, 3)
    assert (item.mask == old.mask[:, ::-1]).all()
    assert item.attributes == {"position": "top right", "n": 2}
    if kind != "counted":
        assert (turned.void == ~item.mask).all()
        said = turned.caption if kind == "annotated" else turned.expression
        assert "right" in said and "left" not in said
    again = mirrored(turned)
    assert (np.asarray(again.open()) == before).all()
    assert again.objects[0].bbox == old.bbox


def test_expressions_stay_true_of_mirrored_scenes():
    for record in read_scene_expressions(num_scenes=40, size=64):
        words = record.expression.split()
        if words[1] not in ("left", "right") or len(words) != 3:
            continue
        turned = mirrored(record)
        assert turned.expression.split()[1] != words[1]
        middle = sum(record.objects[0].bbox[::2]) / 2
        assert sum(turned.objects[0].bbox[::2]) / 2 == pytest.approx(64 - middle)


def test_share_of_draws():
    record = _record("referring")
    rng = random.Random(0)
    turned = [sometimes_mirrored(record, rng, 0.25) is not record for _ in range(400)]
    assert 60 < sum(turned) < 140
    assert sometimes_mirrored(record, rng, 0.0) is record


def test_record_with_keypoints_is_left_alone():
    item = AnnotatedObject("person", (0, 0, 2, 2), keypoints=np.ones((17, 3), np.float32))
    record = AnnotatedImage(Image.new("RGB", (4, 4)), (item,), ("person",), "k")
    assert sometimes_mirrored(record, random.Random(0), 1.0) is record
