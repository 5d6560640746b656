"""Detection conversations: question, answer and target speak of the same list."""

from __future__ import annotations

import functools
import random
import re

import numpy as np
import pytest
import torch
from PIL import Image

from superlink.data import AnnotatedImage, AnnotatedObject, SceneDataset
from superlink.errors import ConfigError, InputError
from superlink.interfaces import IMAGE
from superlink.tasks import DETECTION
from superlink.tasks.detection import detection_conversation, text_only_conversation
from superlink.tasks.phrasing import load_templates

CATEGORIES = tuple("ape bee cat dog eel fox gnu".split())


def _record(*names, **options):
    objects = tuple(AnnotatedObject(n, (i, 0, i + 2, 3), **options) for i, n in enumerate(names))
    return AnnotatedImage(Image.new("RGB", (16, 8)), objects, CATEGORIES, "one")


def _routes(sample):
    return tuple(re.findall(r"<p>(.*?)</p>\[DET\]", sample.messages[-1].text))


def _asked(sample):
    return tuple(sample.messages[0].text.removeprefix("Find: ").split(", "))


@pytest.mark.parametrize("seed", range(20))
def test_question_answer_and_target_have_one_order(seed):
    record = _record("dog", "ape", "dog")
    sample = detection_conversation(
        record, random.Random(seed), True, open_questions=0.0, variety=0.0
    )
    target = sample.targets[0]
    assert sample.messages[0].parts[0] is IMAGE
    assert _asked(sample) == _routes(sample) == target["names"]
    assert [target["names"][label] for label in target["labels"]] == ["dog", "ape", "dog"]
    assert target["bboxes"].tolist() == [[0, 0, 2, 3], [1, 0, 3, 3], [2, 0, 4, 3]]
    assert 2 <= len(target["names"]) <= 6
    assert sample.key == "one"


def test_evaluation_asks_for_three_absent_classes_and_is_fixed_by_the_seed():
    first, again = (detection_conversation(_record("dog"), random.Random(4), False) for _ in "ab")
    assert first.messages == again.messages
    assert len(first.targets[0]["names"]) == 4
    assert first.messages[0].text.startswith("Find: ")
    assert "dog" in first.targets[0]["names"]


def test_evaluation_never_asks_freely():
    make = functools.partial(detection_conversation, open_questions=1.0, variety=1.0)
    assert make(_record("dog"), random.Random(0), False).messages[0].text.startswith("Find: ")


def test_open_question_answers_the_present_classes_in_order():
    sample = detection_conversation(
        _record("fox", "ape", "fox"), random.Random(0), True, open_questions=1.0, variety=0.0
    )
    assert sample.messages[0].text == "What is here?"
    assert sample.messages[1].text == "<p>ape</p>[DET], <p>fox</p>[DET]"
    assert sample.targets[0]["names"] == ("ape", "fox")


def test_shares_of_open_and_free_questions_are_kept():
    rng = random.Random(0)
    texts = [
        detection_conversation(_record("dog"), rng, True).messages[0].text for _ in range(1000)
    ]
    assert 0.10 < np.mean([text == "What is here?" for text in texts]) < 0.18
    assert 0.51 < np.mean([text.startswith("Find: ") for text in texts]) < 0.61


@pytest.mark.parametrize("seed", range(10))
def test_free_wording_keeps_the_routes(seed):
    sample = detection_conversation(_record("dog"), random.Random(seed), True, variety=1.0)
    assert not sample.messages[0].text.startswith("Find: ")
    assert _routes(sample) == sample.targets[0]["names"]


@pytest.mark.parametrize("training", [True, False])
def test_image_without_objects_asks_for_absent_classes(training):
    make = functools.partial(detection_conversation, max_negatives=0, open_questions=1.0)
    sample = make(_record(), random.Random(0), training)
    target = sample.targets[0]
    assert target["bboxes"].shape == (0, 4) and target["labels"].shape == (0,)
    assert target["labels"].dtype == torch.long
    assert len(_routes(sample)) >= 1


def test_image_without_categories_is_refused():
    record = AnnotatedImage(Image.new("RGB", (4, 4)), (), (), "bare")
    with pytest.raises(InputError, match="bare"):
        detection_conversation(record, random.Random(0), True)


def test_max_negatives_is_the_most():
    counts = {
        len(
            detection_conversation(
                _record("dog"), random.Random(s), True, max_negatives=2, open_questions=0
            ).targets[0]["names"]
        )
        for s in range(40)
    }
    assert counts == {1, 2, 3}


def test_target_has_masks_and_keypoints_where_the_record_has():
    mask = np.zeros((8, 16), np.bool_)
    points = np.array([[1, 2, 2], [3, 4, 1]], np.float32)
    bare = _record("dog")
    assert (
        not {"masks", "keypoints"}
        & detection_conversation(bare, random.Random(0), False).targets[0].keys()
    )
    both = (
        AnnotatedObject("dog", (0, 0, 2, 3), mask, points),
        AnnotatedObject("cat", (0, 0, 2, 3), mask),
    )
    record = AnnotatedImage(Image.new("RGB", (16, 8)), both, CATEGORIES, "two")
    target = detection_conversation(record, random.Random(0), False).targets[0]
    assert target["masks"].shape == (2, 8, 16) and target["masks"].dtype == torch.bool
    assert target["keypoints"].tolist() == [[[1, 2], [3, 4]], [[0, 0], [0, 0]]]
    assert target["keypoints_visible"].tolist() == [[2, 1], [0, 0]]


def test_scenes_become_samples():
    record = SceneDataset(num_scenes=1)[0]
    sample = detection_conversation(record, random.Random(0), True)
    assert sample.images[0].size == (128, 128)
    assert len(sample.targets[0]["bboxes"]) == len(record.objects)


def test_text_only_copies_the_list():
    counts = set()
    for seed in range(60):
        sample = text_only_conversation([f"n{i}" for i in range(20)], random.Random(seed))
        assert sample.images == () and sample.targets == ()
        assert _asked(sample) == _routes(sample)
        counts.add(len(_routes(sample)))
    assert counts == set(range(1, 9))


def test_text_only_asks_for_as_many_names_and_by_the_token_that_are_wanted():
    for seed in range(20):
        sample = text_only_conversation(["a", "b", "c"], random.Random(seed), max_names=1)
        assert len(_asked(sample)) == 1
    sample = text_only_conversation(["the left apple"], random.Random(0), token="[GRD]")
    assert sample.messages[1].text == "<p>the left apple</p>[GRD]"
    sample = text_only_conversation(["sky"], random.Random(0), questions="semantic_segmentation")
    assert sample.messages[0].text == "Segment: sky"
    with pytest.raises(ConfigError, match="max_names=0"):
        text_only_conversation(["a"], random.Random(0), max_names=0)


def test_text_only_without_names_is_refused():
    with pytest.raises(InputError, match="at least one name"):
        text_only_conversation([], random.Random(0))


def test_templates_hold_their_fields():
    templates = load_templates("detection")
    assert len(templates["find"]["varied"]) >= 12 and len(templates["answer"]["varied"]) >= 8
    for purpose, field in (("find", "{classes}"), ("answer", "{routes}"), ("open", "")):
        for texts in templates[purpose].values():
            assert all(text.count("{") == bool(field) and field in text for text in texts)
            assert len(set(texts)) == len(texts)


def test_declaration_names_what_exists():
    for path in (DETECTION.conversation, DETECTION.evaluator, *DETECTION.readers.values()):
        module, _, name = path.partition(":")
        assert callable(getattr(__import__(module, fromlist=[name]), name))


def _names(record, seed=0, **options):
    sample = detection_conversation(record, random.Random(seed), False, **options)
    return sample.targets[0]["names"]


@pytest.mark.parametrize(("absent", "number"), [(0, 1), (1, 2), (5, 6), (99, 7)])
def test_evaluation_asks_for_as_many_absent_classes_as_it_is_told(absent, number):
    names = _names(_record("dog"), absent_classes=absent)
    assert len(names) == number and "dog" in names


def test_evaluation_asks_for_all_classes_in_their_order():
    record = _record("fox", "dog")
    assert _names(record, absent_classes="all") == CATEGORIES
    assert _names(record, 5, absent_classes="all") == CATEGORIES


def test_absent_classes_do_not_change_training():
    one, other = (
        detection_conversation(_record("dog"), random.Random(0), True, absent_classes=absent)
        for absent in (0, "all")
    )
    assert one.messages == other.messages


@pytest.mark.parametrize("absent", ["some", -1, None])
def test_unknown_absent_classes_are_refused(absent):
    with pytest.raises(ConfigError, match="'all'"):
        _names(_record("dog"), absent_classes=absent)


def test_class_that_is_ignored_is_not_asked_for_as_absent():
    crowd = (AnnotatedObject("cat", (0, 0, 2, 3)),)
    objects = (AnnotatedObject("dog", (0, 0, 2, 3)),)
    record = AnnotatedImage(Image.new("RGB", (16, 8)), objects, CATEGORIES, "one", ignored=crowd)
    for seed in range(10):
        assert "cat" not in _names(record, seed, absent_classes=99)
    assert _names(record, absent_classes="all") == CATEGORIES


def test_regions_of_classes_that_were_not_asked_for_keep_their_names():
    crowd = (AnnotatedObject("cat", (0, 0, 2, 3)),)
    objects = (AnnotatedObject("dog", (0, 0, 2, 3)),)
    record = AnnotatedImage(Image.new("RGB", (16, 8)), objects, CATEGORIES, "one", ignored=crowd)
    (target,) = detection_conversation(record, random.Random(0), False).targets
    assert target["other_ignored_names"] == ("cat",)
    assert target["other_ignored_bboxes"].tolist() == [[0, 0, 2, 3]]
    assert "ignored_bboxes" not in target


@pytest.mark.parametrize("absent", [3, "all"])
def test_image_of_crowds_alone_is_asked_for_them(absent):
    crowd = (AnnotatedObject("person", (0, 0, 2, 3)),)
    record = AnnotatedImage(Image.new("RGB", (16, 8)), (), (), "one", ignored=crowd)
    assert _names(record, absent_classes=absent) == ("person",)


def test_token_may_be_another_one():
    sample = detection_conversation(_record("dog"), random.Random(0), False, token="[SEG]")
    assert sample.messages[1].text.count("</p>[SEG]") == 4
    with pytest.raises(ConfigError, match=r"\[DET\]"):
        detection_conversation(_record("dog"), random.Random(0), False, token="DET")
