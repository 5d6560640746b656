"""The paper horse: its keypoints lie on it, and its near side is the one that it shows."""

from __future__ import annotations

import random

import numpy as np
import pytest
from PIL import Image

from superlink.data.keypoint_sets import keypoint_set
from superlink.data.scenes.quadruped import draw_quadruped

KEYPOINTS = keypoint_set("ap10k")


def _places(points):
    return dict(zip(KEYPOINTS.names, points, strict=True))


@pytest.mark.parametrize("seed", range(12))
def test_keypoints_lie_on_the_horse(seed):
    image, points = draw_quadruped(random.Random(seed), 128)
    assert points.shape == (len(KEYPOINTS), 3) and set(points[:, 2]) <= {1, 2}
    columns, rows = points[:, :2].astype(int).T
    assert (np.asarray(image.getchannel("A"))[rows, columns] == 255).all()


@pytest.mark.parametrize("seed", range(6))
def test_a_horse_that_faces_left_is_the_mirror_image_with_sides_exchanged(seed):
    right, points = draw_quadruped(random.Random(seed), 128, "right")
    left, mirrored = draw_quadruped(random.Random(seed), 128, "left")
    assert left.tobytes() == right.transpose(Image.Transpose.FLIP_LEFT_RIGHT).tobytes()
    expected = points[KEYPOINTS.mirror_order()]
    expected[:, 0] = right.width - expected[:, 0]
    assert (mirrored == expected).all()
    assert _places(mirrored)["nose"][0] < _places(mirrored)["root of tail"][0]


@pytest.mark.parametrize(("near", "far"), [("right", "left"), ("left", "right")])
def test_a_horse_shows_the_side_that_it_faces_and_its_trunk_hides_the_other(near, far):
    for seed in range(8):
        place = _places(draw_quadruped(random.Random(seed), 128, near)[1])
        for part in ("eye", "shoulder", "elbow", "front paw", "hip", "knee", "back paw"):
            assert place[f"{near} {part}"][2] == 2
        for part in ("eye", "shoulder", "hip"):
            assert place[f"{far} {part}"][2] == 1


def test_far_legs_are_darker():
    for seed in range(8):
        image, points = draw_quadruped(random.Random(seed), 256, "right")
        pixels, place = np.asarray(image.convert("RGB")).astype(int), _places(points)
        for joint in ("elbow", "knee"):
            (x, y, seen), (u, v, _) = place[f"left {joint}"], place[f"right {joint}"]
            if seen == 2:
                assert pixels[int(y), int(x)].sum() < pixels[int(v), int(u)].sum()


def test_horses_differ_in_pose_and_look_both_ways():
    drawn = [_places(draw_quadruped(random.Random(seed), 64)[1]) for seed in range(12)]
    assert len({place["left front paw"].tobytes() for place in drawn}) == 12
    assert len({place["nose"][0] > place["root of tail"][0] for place in drawn}) == 2
