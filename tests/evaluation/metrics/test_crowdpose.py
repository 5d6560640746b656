"""CrowdPose's metrics against its published code, and its crowd index counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from superlink.evaluation.metrics import Instance, crowd_index, crowd_level, crowdpose_metrics

SIGMAS = (0.079,) * 2 + (0.072,) * 2 + (0.062,) * 2 + (0.107,) * 2 + (0.087,) * 2 + (0.089,) * 2
SIGMAS = (*SIGMAS, 0.079, 0.079)


def random_people(seed, num_images):
    """Truths, found people, and a crowd index for each image; head and neck are the last points."""
    rng = np.random.default_rng(seed)
    truths, found = [], []
    for image in range(num_images):
        for number in range(int(rng.integers(1, 5))):
            low, side = rng.uniform(0, 300, 2).round(2), rng.uniform(40, 160, 2).round(2)
            bbox = (*low.tolist(), *(low + side).round(2).tolist())
            points = rng.uniform(low, low + side, (14, 2)).round(1)
            seen = rng.integers(0, 3, 14)
            if number == 2:
                seen[:12] = 0  # head and neck alone, if at all
            keypoints = np.column_stack([points, seen]).tolist()
            count = int((seen[:12] > 0).sum())
            truths.append(Instance(image, "person", bbox, keypoints=keypoints, num_keypoints=count))
            for _ in range(int(rng.integers(0, 3))):
                moved = points + rng.normal(0, 0.06 * np.sqrt(side.prod()), points.shape)
                near = np.column_stack([moved.round(2), np.ones(14)]).tolist()
                score = float(rng.random())
                found.append(Instance(image, "person", bbox, score=score, keypoints=near))
    return truths, found, rng.random(num_images).round(2).tolist()


# Made by COCOeval(truths, found, "keypoints_crowd", SIGMAS, use_area=False) of xtcocotools 1.14.3,
# which mmpose uses for CrowdPose, from the same instances; it rounds the last three.
GOLDEN = {
    (0, 20): (0.40606018138993155, 0.6753514073917232, 0.45507010516766344, 0.5628, 0.3543, 0.3541),
    (1, 40): (0.3862417554978452, 0.646107884645373, 0.4699036942197827, 0.3644, 0.4131, 0.3255),
    (2, 60): (0.32671198078435704, 0.5701088988771312, 0.34970538299701037, 0.323, 0.3045, 0.4316),
}


@pytest.mark.parametrize(("seed", "num_images"), GOLDEN)
def test_metrics_are_those_of_the_published_code(seed, num_images):
    metrics = crowdpose_metrics(*random_people(seed, num_images), {"person": SIGMAS})
    names = ("AP", "AP50", "AP75", "AP_easy", "AP_medium", "AP_hard")
    assert list(metrics) == [f"crowdpose_{name}" for name in names]
    found = list(metrics.values())
    assert found[:3] == pytest.approx(GOLDEN[seed, num_images][:3], abs=1e-9)
    assert found[3:] == pytest.approx(GOLDEN[seed, num_images][3:], abs=5.1e-5)


def _person(bbox, points, **more):
    return Instance(0, "person", bbox, keypoints=[[x, y, 2] for x, y in points], **more)


def test_the_crowd_index_is_a_mean_over_people():
    # Of the second person two of four points lie in the first one's box, which has two of its own;
    # of the first one none lies in the second one's.
    first = _person((0, 0, 10, 10), [(1, 1), (2, 2)])
    second = _person((8, 8, 20, 20), [(9, 9), (10, 10), (15, 15), (16, 16)])
    assert crowd_index([first, second]) == pytest.approx((2 / 2 + 0 / 4) / 2)
    assert crowd_index([first]) == crowd_index([]) == 0.0


def test_whoever_does_not_count_is_part_of_the_crowd_alone():
    person = _person((0, 0, 10, 10), [(1, 1), (2, 2)])
    for more in ({"ignored": True}, {"num_keypoints": 0}):
        other = _person((0, 0, 10, 10), [(5, 5)], **more)
        assert crowd_index([person, other]) == pytest.approx(1 / 2)
    unlabelled = Instance(0, "person", (0, 0, 10, 10), keypoints=[[5, 5, 0]])
    assert crowd_index([person, unlabelled]) == 0.0
    assert crowd_index([person, Instance(0, "person", (0, 0, 10, 10), ignored=True)]) == 0.0


def test_levels_are_those_of_the_published_code():
    levels = [crowd_level(index) for index in (0.0, 0.19, 0.2, 0.79, 0.8, 3.0)]
    assert levels == ["easy"] * 2 + ["medium"] * 2 + ["hard"] * 2


def test_a_level_without_people_is_left_out():
    person = _person((0, 0, 10, 10), [(1, 1), (2, 2)])
    metrics = crowdpose_metrics([person], [person], [0.5], {"person": (0.1, 0.1)})
    assert metrics["crowdpose_AP_medium"] == metrics["crowdpose_AP"] == pytest.approx(1.0)
    assert not {"crowdpose_AP_easy", "crowdpose_AP_hard"} & set(metrics)
    nobody = Instance(0, "person", (0, 0, 9, 9), keypoints=[[1, 1, 0]] * 2)
    assert crowdpose_metrics([nobody], [], [0.5], {"person": (0.1, 0.1)}) == {}
