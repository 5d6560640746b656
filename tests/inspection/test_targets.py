"""Targets in a line."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from superlink.inspection.targets import describe_target
from superlink.interfaces import KeypointSet

CAT = KeypointSet(("nose", "left paw"))
BOXES = {"bboxes": torch.zeros(3, 4), "labels": torch.tensor([1, 0, 1]), "names": ("dog", "apple")}


HALF = np.array([[True, True], [False, False]])
PICTURES = {
    "images": (Image.new("RGB", (48, 32)), Image.new("RGB", (8, 8))),
    "captions": ("two red apples", "remove the dog"),
    "attributes": ({"object": "apple", "count": 2}, {}),
    "changed": (None, HALF),
}


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (None, "no target"),
        ({}, "nothing"),
        (BOXES, "3 boxes: 2 x apple, 1 x dog"),
        (BOXES | {"bboxes": torch.zeros(0, 4), "labels": torch.zeros(0).long()}, "no boxes"),
        (BOXES | {"labels": torch.tensor([0])}, "1 box: 1 x dog"),
        (
            BOXES | {"masks": torch.zeros(3, 2, 2), "keypoints": torch.zeros(3, 5, 2)},
            "3 boxes: 2 x apple, 1 x dog; with masks and keypoints",
        ),
        (
            {"labels": torch.tensor([0]), "names": ("cat",), "keypoint_set": CAT},
            "1 label: 1 x cat; points: nose, left paw",
        ),
        (BOXES | {"ignored_bboxes": torch.zeros(2, 4)}, "3 boxes: 2 x apple, 1 x dog; 2 ignored"),
        ({"labels": torch.tensor([5]), "masks": torch.zeros(1, 2, 2)}, "1 mask: 1 x label 5; "),
        (
            PICTURES,
            "a picture of 48 x 32 pixels: two red apples; object apple, count 2; "
            "a picture of 8 x 8 pixels: remove the dog; changes 50% of it",
        ),
        ({"images": PICTURES["images"][:1]}, "a picture of 48 x 32 pixels"),
        ({"count": 7, "names": ("dog",)}, "count 7"),
        ({"points": torch.zeros(2, 2), "prompt": "x" * 99}, "points of shape (2, 2); prompt xxx"),
    ],
)
def test_target_in_a_line(target, told):
    assert describe_target(target).startswith(told)
