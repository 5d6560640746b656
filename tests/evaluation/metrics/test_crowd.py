"""CrowdHuman's metrics against their definition, written out in loops, and its published code."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from superlink.errors import InputError
from superlink.evaluation.metrics import CrowdImage, crowd_metrics

SIZE = (480, 640)


def random_crowd(seed, num_images):
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(num_images):
        n, m = int(rng.integers(1, 12)), int(rng.integers(0, 4))
        low = rng.uniform((-20, -20), (SIZE[1] - 40, SIZE[0] - 40), (n + m, 2))
        boxes = np.concatenate([low, low + rng.uniform(15, 160, (n + m, 2))], axis=1).round(2)
        near = boxes[rng.random(n + m) < 0.85]
        near = np.repeat(near, 2, axis=0)[rng.random(2 * len(near)) < 0.6]
        near = near + rng.normal(0, 5, near.shape)
        low = rng.uniform((0, 0), (SIZE[1] - 40, SIZE[0] - 40), (int(rng.integers(0, 5)), 2))
        far = np.concatenate([low, low + rng.uniform(15, 160, low.shape)], axis=1)
        found = np.concatenate([near, far]).round(2)
        scores = np.concatenate([rng.random(len(near)), rng.random(len(far)) ** 3]).round(2)
        images.append(
            CrowdImage(*(v.tolist() for v in (boxes[:n], boxes[n:], found, scores)), SIZE)
        )
    return images


# Made by evaluate/APMRToolkits of github.com/megvii-model/CrowdDetection (commit 9786f58) from the
# same boxes in its odgt files, ignored regions as tag "mask": Database(...).compare(), eval_AP()
# and eval_MR().
GOLDEN = {
    (1, 40): (0.4982666974308663, 0.8514786462748002, 0.6833976833976834),
    (3, 17): (0.6017520991155053, 0.8294678898549043, 0.7941176470588235),
    (5, 100): (0.5122227455152247, 0.8197087025176434, 0.6616161616161617),
}


@pytest.mark.parametrize(("seed", "num_images"), GOLDEN)
def test_metrics_are_those_of_the_published_code(seed, num_images):
    found = crowd_metrics(random_crowd(seed, num_images))
    assert list(found) == ["crowd_AP50", "crowd_mMR", "crowd_recall"]
    assert list(found.values()) == pytest.approx(GOLDEN[seed, num_images], abs=1e-6)


def _clip(box):
    height, width = SIZE
    x1, y1, x2, y2 = box
    return (
        min(max(x1, 0), width - 1),
        min(max(y1, 0), height - 1),
        max(min(x2, width), 0),
        max(min(y2, height), 0),
    )


def _area(box):
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def _shared(one, other):
    low, high = (max(one[i], other[i]) for i in (0, 1)), (min(one[i], other[i]) for i in (2, 3))
    (x1, y1), (x2, y2) = low, high
    return max(0.0, x2 - x1) * max(0.0, y2 - y1)


def _judge(image):
    """(score, right) of each found person that counts, by the definition."""
    truths, ignored = [_clip(b) for b in image.truths], [_clip(b) for b in image.ignored]
    free = set(range(len(truths)))
    for index in sorted(range(len(image.scores)), key=lambda i: -image.scores[i]):
        box = _clip(image.bboxes[index])
        best, place = 0.5, None
        for number in sorted(free):
            shared = _shared(box, truths[number])
            value = shared / (_area(box) + _area(truths[number]) - shared)
            if value > best:
                best, place = value, number
        if place is not None:
            free.remove(place)
            yield image.scores[index], True
        elif not any(_shared(box, region) > 0.5 * _area(box) for region in ignored):
            yield image.scores[index], False


def _oracle(images):
    judged = sorted((pair for image in images for pair in _judge(image)), key=lambda p: -p[0])
    total = sum(len(image.truths) for image in images)
    curve = []
    for count in range(1, len(judged) + 1):
        right = sum(good for _, good in judged[:count])
        curve.append((right / total, right / count, (count - right) / len(images)))
    area = sum((r2 - r1) * (p1 + p2) / 2 for (r1, p1, _), (r2, p2, _) in itertools.pairwise(curve))
    logs = []
    for reference in (0.01, 0.0178, 0.0316, 0.0562, 0.1, 0.1778, 0.3162, 0.5623, 1.0):
        reached = [recall for recall, _, fppi in curve if fppi >= reference]
        logs.append(math.log(1 - (reached[0] if reached else curve[-1][0])))
    return area, math.exp(sum(logs) / 9), curve[-1][0]


@pytest.mark.parametrize("seed", range(10, 18))
def test_metrics_follow_their_definition(seed):
    images = random_crowd(seed, 12)
    assert list(crowd_metrics(images).values()) == pytest.approx(_oracle(images), abs=1e-9)


PERSON = [10.0, 10.0, 50.0, 90.0]


def test_ignored_regions_excuse_what_lies_in_them():
    inside, outside = [210.0, 10.0, 240.0, 60.0], [400.0, 10.0, 440.0, 60.0]
    found = [PERSON, inside, inside]
    region = [[200.0, 0.0, 300.0, 100.0]]
    excused = crowd_metrics([CrowdImage([PERSON] * 2, region, found, [0.5, 0.9, 0.8])])
    blamed = crowd_metrics([CrowdImage([PERSON] * 2, region, [PERSON, outside], [0.5, 0.9])])
    assert excused["crowd_mMR"] == pytest.approx(0.5)
    assert blamed["crowd_mMR"] == pytest.approx(1.0)
    assert excused["crowd_recall"] == blamed["crowd_recall"] == 0.5


def test_a_person_is_found_once():
    found = crowd_metrics([CrowdImage([PERSON], [], [PERSON, PERSON], [0.9, 0.8])])
    assert found["crowd_recall"] == 1.0
    assert found["crowd_AP50"] == 0.0  # the curve goes down where the second counts as wrong


def test_nobody_missed_is_a_miss_rate_of_zero():
    assert crowd_metrics([CrowdImage([PERSON], [], [PERSON], [0.9])])["crowd_mMR"] == 0.0


def test_nothing_found_misses_all():
    found = crowd_metrics([CrowdImage([PERSON], [], [], [])])
    assert found == {"crowd_AP50": 0.0, "crowd_mMR": 1.0, "crowd_recall": 0.0}


def test_without_a_person_there_is_nothing_to_measure():
    with pytest.raises(InputError, match="annotated people"):
        crowd_metrics([CrowdImage([], [], [PERSON], [0.9])])
