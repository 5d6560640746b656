"""Mirrored records: what was left is right, in pixels, boxes, masks and words alike."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from superlink.data import (
    AnnotatedImage,
    AnnotatedObject,
    CountedImage,
    ReferringImage,
    keypoint_set,
)
from superlink.data.flipping import is_mirrorable, mirror_words, mirrored, sometimes_mirrored
from superlink.data.scenes import read_described_scenes, read_scene_expressions
from superlink.data.scenes.describing import read_scene_phrases
from superlink.interfaces import KeypointSet
from superlink.tasks.counting import counting_conversation
from superlink.tasks.detection import detection_conversation
from superlink.tasks.grounding import grounding_conversation
from superlink.testing.models import toy_model


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the left apple", "the right apple"),
        ("Left of the bright light", "Right of the bright light"),
        ("the leftmost dog, not the rightmost", "the rightmost dog, not the leftmost"),
        ("LEFT", "RIGHT"),
        ("the right-hand door", "the left-hand door"),
        ("the left-most cup", "the right-most cup"),
        ("lefthand side, rightside", "righthand side, leftside"),
        ("top_left, top-right", "top_right, top-left"),
        ("left-handed, from left to right", "right-handed, from right to left"),
        ("the left's arm", "the right's arm"),
        ("leftover rice, alright", "leftover rice, alright"),
        ("upright", "upright"),
        ("a bright copyright, outright cleft", "a bright copyright, outright cleft"),
    ],
)
def test_words_are_exchanged_whole(text, expected):
    assert mirror_words(text) == expected
    assert is_mirrorable(text)


@pytest.mark.parametrize(
    "text",
    [
        *("rt guy", "lft zebra", "L", "the man in the far r", "lefty", "topleft", "bottomright"),
        *("lEft", "left2", "all right", "right behind the car", "the cup right next to it"),
        *(
            "the train that left the station",
            "what the man left behind",
            "right side up",
            "a right angle",
        ),
        *("turned clockwise", "the 3 o'clock seat", "the rights"),
    ],
)
def test_record_whose_sides_are_not_sure_is_left_alone(text):
    assert not is_mirrorable(text)
    image, item = Image.new("RGB", (4, 4)), AnnotatedObject(text, (0, 0, 2, 2))
    for record in (
        ReferringImage(image, text, (item,), "k"),
        CountedImage(image, text, 1, "k", (item,)),
        AnnotatedImage(image, (item,), (text,), "k"),
        AnnotatedImage(image, (), ("cat",), "k", text),
        AnnotatedImage(image, (), ("cat",), "k", ignored=(item,)),
        AnnotatedImage(image, (), ("cat",), "k", synonyms={"cat": (text,)}),
    ):
        assert sometimes_mirrored(record, random.Random(0), 1.0) is record


def test_words_of_the_built_in_scenes_are_sure():
    for text in read_scene_phrases()[0]:
        assert is_mirrorable(text)


WORDS = st.sampled_from(["left", "Right", "LEFT", "rightmost", "bright", "lEft", "hand", "most"])
SPACES = st.sampled_from([" ", "-", "_", "", "'s ", "/", "\n"])


@given(st.one_of(st.text(alphabet="leftrighEFT mos-_", max_size=30), st.text(max_size=20)))
def test_words_exchanged_twice_are_as_before(text):
    assert mirror_words(mirror_words(text)) == text


@given(st.lists(st.tuples(WORDS, SPACES), max_size=8))
def test_words_in_any_company_exchanged_twice_are_as_before(parts):
    text = "".join(word + space for word, space in parts)
    assert mirror_words(mirror_words(text)) == text


def _record(kind):
    pixels = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)
    mask = np.zeros((4, 6), np.bool_)
    mask[1:3, 0:2] = True
    item = AnnotatedObject("cat", (0, 1, 2, 3), mask, attributes={"position": "top left", "n": 2})
    image, void = Image.fromarray(pixels), ~mask
    if kind == "annotated":
        crowd = AnnotatedObject("dog", (0, 0, 1, 4), np.eye(4, 6, dtype=np.bool_))
        said = "a cat on the left"
        return AnnotatedImage(
            image, (item,), ("cat", "dog"), "k", said, ignored=(crowd,), void=void
        )
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
    if kind == "annotated":
        assert turned.ignored[0].bbox == (5, 0, 6, 4)
        assert (turned.ignored[0].mask == record.ignored[0].mask[:, ::-1]).all()


@pytest.mark.parametrize("kind", ["annotated", "referring", "counted"])
def test_record_mirrored_twice_is_as_before(kind):
    record = _record(kind)
    again = mirrored(mirrored(record))
    assert (np.asarray(again.open()) == np.asarray(record.open())).all()
    for name in {"objects", "ignored"} & vars(record).keys():
        for one, other in zip(getattr(record, name), getattr(again, name), strict=True):
            assert (one.name, one.bbox, one.attributes) == (
                other.name,
                other.bbox,
                other.attributes,
            )
            assert (one.mask == other.mask).all()
    for name in {"expression", "caption", "categories", "synonyms", "name"} & vars(record).keys():
        assert getattr(record, name) == getattr(again, name)
    assert kind == "counted" or (again.void == record.void).all()


def test_classes_that_name_a_side_change_with_it():
    image, item = Image.new("RGB", (8, 4)), AnnotatedObject("left shoe", (0, 0, 2, 2))
    words = {"left shoe": ("shoe on the left",)}
    names = ("left shoe", "right hat")
    turned = mirrored(AnnotatedImage(image, (item,), names, "k", ignored=(item,), synonyms=words))
    assert turned.categories == ("right shoe", "left hat")
    assert turned.objects[0].name == turned.ignored[0].name == "right shoe"
    assert turned.synonyms == {"right shoe": ("shoe on the right",)}
    counted = mirrored(CountedImage(image, "left shoe", 1, "k", (item,)))
    assert counted.name == counted.objects[0].name == "right shoe"


def test_descriptions_stay_true_of_mirrored_scenes():
    sides = {"left": 0, "right": 0}
    for record in read_described_scenes(num_scenes=20, size=64):
        turned = mirrored(record)
        for old, new in zip(record.objects, turned.objects, strict=True):
            assert new.name == mirror_words(old.name) and new.name in turned.categories
            for side in sides:
                if new.name.startswith(f"the {side} "):
                    assert old.name.startswith(f"the {({*sides} - {side}).pop()} ")
                    sides[side] += 1
    assert all(sides.values())


def _conversation(kind, record, **options):
    talk = {
        "annotated": detection_conversation,
        "referring": grounding_conversation,
        "counted": counting_conversation,
    }[kind]
    return talk(record, random.Random(0), True, variety=0, answer_variety=0, **options)


@pytest.fixture(scope="module")
def model():
    return toy_model()


@pytest.mark.parametrize("kind", ["annotated", "referring", "counted"])
def test_left_in_the_words_and_in_both_images_flip_together(model, kind):
    record = _record(kind)
    options = {"token": "[BOX]"} | ({"restate": True} if kind == "referring" else {})
    streams = []
    for flip in (0.0, 1.0):
        sample = _conversation(kind, record, flip=flip, **options)
        batch = model.processor([sample])
        streams.append((sample, batch["inputs"]["pixel_values"], batch["decoder_inputs"]))
    (plain, llm, decoder), (turned, turned_llm, turned_decoder) = streams
    assert (np.asarray(turned.images[0]) == np.asarray(plain.images[0])[:, ::-1]).all()
    assert np.allclose(turned_llm.numpy(), llm.flip(-1).numpy(), atol=0.02)
    decoder, turned_decoder = decoder["toy.box"], turned_decoder["toy.box"]
    pixels, turned_pixels = decoder["pixels"], turned_decoder["pixels"]
    assert np.allclose(turned_pixels.numpy(), pixels.flip(-1).numpy(), atol=0.02)
    x1, y1, x2, y2 = decoder["bboxes"][0][0].tolist()
    assert turned_decoder["bboxes"][0][0].tolist() == pytest.approx([32 - x2, y1, 32 - x1, y2])
    assert (turned.targets[0]["masks"] == plain.targets[0]["masks"].flip(-1)).all()
    if kind == "annotated":
        assert (turned.targets[0]["void"] == plain.targets[0]["void"].flip(-1)).all()
    if kind == "referring":
        for before, after in zip(plain.messages, turned.messages, strict=True):
            assert "left" in before.text and "right" not in before.text
            assert after.text == before.text.replace("left", "right")


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


FACE = KeypointSet(("nose", "left eye", "right eye"), sides=(("left eye", "right eye"),))
POINTS = np.array([[1, 2, 2], [3, 1, 1], [0, 0, 0]], np.float32)


def _face(known=FACE, points=POINTS, **options):
    item = AnnotatedObject("left cat", (0, 0, 4, 3), keypoints=points)
    sets = {} if known is None else {"left cat": known}
    image = Image.new("RGB", (10, 4))
    return AnnotatedImage(image, (item,), ("left cat",), "k", keypoint_sets=sets, **options)


def test_keypoints_go_to_the_other_side_and_bear_its_name():
    turned = sometimes_mirrored(_face(), random.Random(0), 1.0)
    (item,) = turned.objects
    assert item.name == "right cat" and turned.keypoint_sets == {"right cat": FACE}
    # The eye at 3 was the left one; at 7 it is the right one. What is not labelled stays so.
    assert item.keypoints.tolist() == [[9, 2, 2], [0, 0, 0], [7, 1, 1]]
    assert _face().objects[0].keypoints.tolist() == POINTS.tolist()


@given(
    st.integers(1, 50),
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9), st.integers(0, 2)), max_size=9),
)
def test_keypoints_mirrored_twice_are_as_before(width, rows):
    points = np.array([row if row[2] else (0, 0, 0) for row in rows], np.float32).reshape(-1, 3)
    names = tuple(f"{('left', 'right')[i % 2]} {i // 2}" for i in range(len(rows)))
    pairs = tuple(zip(names[::2], names[1::2], strict=False))
    item = AnnotatedObject("cat", (0, 0, 1, 1), keypoints=points)
    record = AnnotatedImage(
        Image.new("RGB", (width, 4)),
        (item,),
        ("cat",),
        "k",
        ignored=(item,),
        keypoint_sets={"cat": KeypointSet(names, sides=pairs)},
    )
    again = mirrored(mirrored(record))
    for found in (*again.objects, *again.ignored):
        assert (found.keypoints == points).all()


@pytest.mark.parametrize("known", [None, KeypointSet(FACE.names)])
def test_record_whose_keypoints_have_unknown_sides_is_left_alone(known):
    record = _face(known)
    assert sometimes_mirrored(record, random.Random(0), 1.0) is record
    assert mirrored(record).objects[0].keypoints is None


def test_keypoints_of_crowds_do_not_keep_a_record_from_turning():
    crowd = AnnotatedObject("dog", (0, 0, 2, 2), keypoints=POINTS)
    turned = sometimes_mirrored(_face(ignored=(crowd,)), random.Random(0), 1.0)
    assert turned.objects[0].name == "right cat" and turned.ignored[0].keypoints is None


def test_hands_have_no_sides_within():
    item = AnnotatedObject("left hand", (0, 0, 2, 2), keypoints=np.ones((21, 3), np.float32))
    sets = {"left hand": keypoint_set("hand")}
    record = AnnotatedImage(
        Image.new("RGB", (10, 4)), (item,), ("left hand",), "k", keypoint_sets=sets
    )
    (turned,) = mirrored(record).objects
    assert turned.name == "right hand" and turned.keypoints.tolist() == [[9, 1, 1]] * 21
