"""The articulated figure: its keypoints lie on it, and left is left."""

from __future__ import annotations

import random

import numpy as np
import pytest

from superlink.data import KEYPOINT_NAMES
from superlink.data.scenes.figure import draw_figure


@pytest.mark.parametrize("seed", range(8))
def test_keypoints_lie_on_the_figure(seed):
    image, points = draw_figure(random.Random(seed), 128)
    alpha = np.asarray(image.getchannel("A"))
    columns, rows = points.astype(int).T
    assert points.shape == (len(KEYPOINT_NAMES), 2) == (17, 2)
    assert (alpha[rows, columns] > 0).all()


def test_figure_faces_the_viewer():
    _, points = draw_figure(random.Random(0), 128)
    place = dict(zip(KEYPOINT_NAMES, points, strict=True))
    for part in ("eye", "ear", "shoulder", "hip"):
        assert place[f"left_{part}"][0] > place[f"right_{part}"][0]
    assert place["nose"][1] < place["left_shoulder"][1] < place["left_hip"][1]


def test_figures_differ_in_pose_and_dress():
    figures = [draw_figure(random.Random(seed), 64) for seed in range(4)]
    assert len({image.tobytes() for image, _ in figures}) == 4
    assert len({points.tobytes() for _, points in figures}) == 4
