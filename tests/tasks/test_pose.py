"""Pose conversations: question, answer and targets speak of the same classes and points."""

from __future__ import annotations

import functools
import random
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from superlink.data import AnnotatedImage, AnnotatedObject, keypoint_set, read_coco_keypoints
from superlink.errors import ConfigError, InputError
from superlink.interfaces import IMAGE, KeypointSet
from superlink.tasks.pose import pose_conversation, pose_target

DOG = KeypointSet(("nose", "left ear", "right ear", "tail"), sigmas=(0.1, 0.2, 0.3, 0.4))
SETS = {"dog": DOG, "bee": KeypointSet(("sting", "nose")), "ape": keypoint_set("coco")}
POINTS = np.array([[1, 2, 2], [3, 4, 1], [0, 0, 0], [7, 8, 2]], np.float32)
ROUTE = re.compile(r"<p>([^<]*)</p>(\[\w+\])")
plain = functools.partial(pose_conversation, variety=0, answer_variety=0, whole_share=0)


def _dog(x=0, **options):
    return AnnotatedObject("dog", (x, 0, x + 2, 3), **options)


def _record(*objects, sets=SETS, categories=("dog", "bee", "ape", "car"), **options):
    image = Image.new("RGB", (16, 8))
    return AnnotatedImage(image, objects, categories, "one", keypoint_sets=sets, **options)


def _asked(sample):
    """The classes of the answer with their points, in its order."""
    asked = {}
    for phrase, token in ROUTE.findall(sample.messages[-1].text):
        if token == "[POSE]":
            asked[phrase] = ()
        else:
            asked[list(asked)[-1]] += (phrase,)
    return asked


def _agree(sample):
    """Whether targets are those of the answer."""
    targets = {target["names"][0]: target["keypoint_set"].names for target in sample.targets}
    return list(_asked(sample).items()) == list(targets.items())


def test_question_answer_and_target_of_one_class():
    sample = plain(
        _record(_dog(keypoints=POINTS), _dog(4, keypoints=POINTS + 1)),
        random.Random(0),
        False,
        absent_classes=0,
        keypoints=["Tail", "nose", "fin"],
    )
    assert sample.messages[0].parts == (IMAGE, "Where are the tail and nose of the dog?")
    assert sample.messages[1].text == "<p>dog</p>[POSE]: <p>tail</p>[KPT], <p>nose</p>[KPT]"
    (target,) = sample.targets
    assert target["names"] == ("dog",) and target["labels"].tolist() == [0, 0]
    assert target["keypoints"].tolist() == [[[7, 8], [1, 2]], [[8, 9], [2, 3]]]
    assert target["keypoints_visible"].tolist() == [[2, 2], [3, 3]]
    assert target["keypoint_set"].names == ("tail", "nose")
    assert target["keypoint_set"].sigmas == (0.4, 0.1)
    assert target["size"] == (8, 16) and sample.key == "one"


def test_each_class_is_a_call_of_its_own():
    bee = AnnotatedObject("bee", (0, 0, 2, 2), keypoints=POINTS[:2])
    sample = plain(
        _record(_dog(keypoints=POINTS), bee, sets={"dog": DOG, "bee": SETS["bee"]}),
        random.Random(0),
        False,
        absent_classes="all",
    )
    assert sample.messages[0].text == (
        "Where are the nose, left ear, right ear and tail of the dog, "
        "and the sting and nose of the bee?"
    )
    assert sample.messages[1].text.endswith(
        "<p>tail</p>[KPT]; <p>bee</p>[POSE]: <p>sting</p>[KPT], <p>nose</p>[KPT]"
    )
    assert [target["keypoints"].shape for target in sample.targets] == [(1, 4, 2), (1, 2, 2)]
    assert _agree(sample)


def test_one_point_is_asked_for_in_the_singular():
    record = _record(AnnotatedObject("the left dog", (0, 0, 2, 2)), categories=("the left dog",))
    record.keypoint_sets["the left dog"] = DOG
    sample = plain(record, random.Random(0), False, keypoints="tail")
    assert sample.messages[0].text == "Where is the tail of the left dog?"


def test_evaluation_asks_for_present_classes_and_for_absent_ones_as_wanted():
    record = _record(_dog(keypoints=POINTS))
    first, again = (pose_conversation(record, random.Random(4), False) for _ in "ab")
    assert first.messages == again.messages and len(first.targets) == 2
    assert list(_asked(plain(record, random.Random(0), False, absent_classes="all"))) == [
        "dog",
        "bee",
        "ape",
    ]
    assert _asked(plain(record, random.Random(0), False, absent_classes=0)) == {"dog": DOG.names}


@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([None, 1, 3]))
def test_training_asks_for_points_of_their_class_once_each(seed, share, most):
    sample = pose_conversation(
        _record(_dog(keypoints=POINTS)),
        random.Random(seed),
        True,
        all_share=share,
        max_keypoints=most,
        variety=0.5,
        answer_variety=0.5,
        whole_share=0.3,
        flip=0.5,
    )
    asked = _asked(sample)
    assert "dog" in asked and 1 <= len(asked) <= 3 and _agree(sample)
    whole = re.search("pose|skeleton|joint|keypoints", sample.messages[0].text)
    for name, points in asked.items():
        known = SETS[name].names
        assert 1 <= len(points) <= (most or len(known)) and {*points} <= {*known}
        assert len(set(points)) == len(points)
        if share == 1.0 and most is None:
            assert len(points) == len(known)
        assert whole or all(point in sample.messages[0].text for point in points)


def test_points_keep_their_places_in_any_order():
    record = _record(_dog(keypoints=POINTS))
    orders = set()
    for seed in range(30):
        sample = plain(record, random.Random(seed), True, max_negatives=0)
        (target,) = sample.targets
        orders.add(target["keypoint_set"].names)
        for index, name in enumerate(target["keypoint_set"].names):
            x, y, visible = POINTS[DOG.names.index(name)]
            assert target["keypoints"][0, index].tolist() == [x, y]
            assert target["keypoints_visible"][0, index] == visible
    assert len(orders) > 15


def test_half_of_the_training_questions_are_for_all_points():
    record, rng = _record(_dog(keypoints=POINTS)), random.Random(0)
    samples = [plain(record, rng, True, max_negatives=0) for _ in range(600)]
    counts = [len(sample.targets[0]["keypoint_set"]) for sample in samples]
    # Half of them, and a quarter of those of which the number is drawn.
    assert 0.57 < np.mean([count == 4 for count in counts]) < 0.68


def test_pose_as_such_is_all_points_in_the_order_of_the_set():
    record = _record(_dog(keypoints=POINTS))
    ask = functools.partial(plain, whole_share=1.0, max_negatives=0)
    sample = ask(record, random.Random(0), True)
    assert sample.messages[0].text == "Show the pose of the dog."
    assert _asked(sample) == {"dog": DOG.names}
    assert ask(record, random.Random(0), False).messages[0].text.startswith("Where are")
    few = ask(record, random.Random(0), True, max_keypoints=3)
    assert few.messages[0].text.startswith("Where") and len(few.targets[0]["keypoint_set"]) <= 3


def test_classes_are_limited_and_those_of_objects_go_first():
    record = _record(_dog(keypoints=POINTS))
    names = [list(_asked(plain(record, random.Random(s), True, max_classes=2))) for s in range(40)]
    assert all("dog" in some and len(some) <= 2 for some in names)
    assert {tuple(some) for some in names} >= {("dog",), ("dog", "bee"), ("ape", "dog")}
    alone = plain(record, random.Random(1), True, max_classes=1, max_negatives=2)
    assert list(_asked(alone)) == ["dog"]


def test_objects_without_labelled_points_teach_their_boxes():
    target = pose_target(_record(_dog(), _dog(5, keypoints=POINTS)), "dog", ("tail",), (8, 16))
    assert target["bboxes"].tolist() == [[0, 0, 2, 3], [5, 0, 7, 3]]
    assert target["keypoints_visible"].tolist() == [[0], [2]]
    bare = pose_target(_record(_dog()), "dog", ("tail", "nose"), (8, 16))
    assert bare["keypoints"].shape == (1, 2, 2) and not bare["keypoints_visible"].any()


def test_absent_class_has_an_empty_target():
    sample = plain(_record(), random.Random(0), False, keypoints=["sting"])
    (target,) = sample.targets
    assert target["names"] == ("bee",) and target["bboxes"].shape == (0, 4)
    assert target["keypoints"].shape == (0, 1, 2) and target["keypoints_visible"].shape == (0, 1)


def test_crowds_are_in_the_target_of_their_class():
    crowd = AnnotatedObject("dog", (1, 0, 9, 3), area=20.0, keypoints=np.zeros((4, 3), np.float32))
    record = _record(ignored=(crowd,), categories=("bee",))
    dog, bee = (pose_target(record, name, ("nose",), (8, 16)) for name in ("dog", "bee"))
    assert dog["ignored_bboxes"].tolist() == [[1, 0, 9, 3]] and dog["bboxes"].shape == (0, 4)
    assert dog["ignored_labels"].tolist() == [0] and dog["ignored_areas"].tolist() == [20]
    assert "ignored_bboxes" not in bee
    alone = plain(_record(ignored=(crowd,), categories=()), random.Random(0), False)
    assert list(_asked(alone)) == ["dog"]


def test_mirrored_records_answer_for_the_other_side():
    face = KeypointSet(("left ear", "right ear"), sides=(("left ear", "right ear"),))
    record = _record(_dog(keypoints=POINTS[:2]), sets={"dog": face}, categories=("dog",))
    sample = plain(record, random.Random(0), True, flip=1.0, all_share=1.0)
    (target,) = sample.targets
    left = target["keypoint_set"].names.index("left ear")
    assert target["keypoints"][0, left].tolist() == [13, 4]
    assert target["bboxes"].tolist() == [[14, 0, 16, 3]]


def test_names_that_look_like_routes_call_nothing():
    odd = KeypointSet(("[KPT] mark", "<p>"))
    record = _record(sets={"a [POSE]": odd}, categories=("a [POSE]",))
    options = {"token": "[BODY]", "keypoint_token": "[POINT]"}
    text = plain(record, random.Random(0), False, **options).messages[1].text
    assert text.count("[BODY]") == 1 and text.count("[POINT]") == 2 and text.count("<p>") == 3
    assert "[POSE]" not in text and "[KPT]" not in text
    odd = KeypointSet(("[BODY]", "[POINT]"))
    record = _record(sets={"dog": odd}, categories=("dog",))
    text = plain(record, random.Random(0), False, **options).messages[1].text
    assert text.count("[BODY]") == 1 and text.count("[POINT]") == 2


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"keypoints": ["wheel"]}, InputError, r"wheel.*dog: nose, left ear"),
        ({"keypoints": []}, ConfigError, "keypoints="),
        ({"max_keypoints": 0}, ConfigError, "max_keypoints=0"),
        ({"max_classes": 0}, ConfigError, "max_classes=0"),
        ({"max_negatives": -1}, ConfigError, "max_negatives=-1"),
        ({"absent_classes": -1}, ConfigError, "absent_classes=-1"),
        ({"token": "POSE"}, ConfigError, "token"),
        ({"keypoint_token": "<kpt>"}, ConfigError, "token"),
    ],
)
def test_bad_options_are_refused(options, error, words):
    with pytest.raises(error, match=words):
        pose_conversation(_record(_dog()), random.Random(0), False, **options)


def test_record_without_keypoint_sets_is_refused():
    with pytest.raises(InputError, match=r"needs a set of keypoints.*read_coco_keypoints"):
        pose_conversation(_record(_dog(), sets={}), random.Random(0), True)


def test_people_of_coco_can_be_asked(coco_mini):
    path = coco_mini / "person_keypoints_train.json"
    records = read_coco_keypoints(path, coco_mini / "images")
    labelled = 0
    for record in records:
        sample = pose_conversation(record, random.Random(0), False)
        assert _asked(sample) == {"person": keypoint_set("coco").names}
        (target,) = sample.targets
        assert len(target["bboxes"]) == len(record.objects) == len(target["keypoints"])
        labelled += int((target["keypoints_visible"] > 0).any(1).sum())
    assert len(records) == 8 and labelled == 14


def test_points_can_stand_in_the_order_of_the_set():
    for seed in range(20):
        sample = pose_conversation(
            _record(_dog(keypoints=POINTS)), random.Random(seed), True, ordered_share=1.0
        )
        for target in sample.targets:
            names = target["keypoint_set"].names
            assert list(names) == [name for name in SETS[target["names"][0]].names if name in names]
