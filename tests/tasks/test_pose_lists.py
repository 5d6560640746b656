from __future__ import annotations

import random

import pytest

from superlink.errors import ConfigError
from superlink.tasks.pose_lists import keypoint_list_conversation, read_keypoint_sets


def asked(seed=0, **options):
    (record,) = read_keypoint_sets()
    return keypoint_list_conversation(record, random.Random(seed), True, **options)


def test_a_list_has_neither_image_nor_target():
    sample = asked()
    assert (sample.images, sample.targets) == ((), ())


def test_the_answer_names_what_the_question_asks_for_in_its_order():
    for seed in range(20):
        question, answer = (message.text for message in asked(seed, variety=0.0).messages)
        points = [part.split("</p>[KPT]")[0].split("<p>")[-1] for part in answer.split(", ")]
        places = [question.find(point) for point in points if f"{point} of" not in question]
        assert all(place >= 0 for place in places)
        assert answer.count("[POSE]") in (1, 2)


def test_all_points_of_the_asked_classes_can_be_wanted():
    sample = asked(all_share=1.0, max_classes=1)
    assert sample.messages[1].text.count("[KPT]") == 17


def test_points_can_stand_in_the_order_of_the_set():
    (record,) = read_keypoint_sets()
    for seed in range(20):
        answer = asked(seed, ordered_share=1.0, max_classes=1).messages[1].text
        name, *points = [part.split("</p>")[0] for part in answer.split("<p>")[1:]]
        assert points == [point for point in record[name].names if point in points]


def test_other_classes_take_other_sets():
    (record,) = read_keypoint_sets({"face": "300w"})
    assert len(record["face"]) == 68


@pytest.mark.parametrize("option", ["max_keypoints", "max_classes"])
def test_a_list_of_nothing_is_refused(option):
    with pytest.raises(ConfigError, match=f"{option}=0"):
        asked(**{option: 0})
