"""Targets hold what records know, and nothing that they do not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from superlink.data import AnnotatedImage, AnnotatedObject
from superlink.errors import InputError
from superlink.tasks.detection import detection_target
from superlink.tasks.targets import ignored_target, object_target

MASK = np.eye(8, 16, dtype=np.bool_)


def _object(name="dog", x=0, **options):
    return AnnotatedObject(name, (x, 0, x + 2, 3), **options)


def _record(*objects, **options):
    return AnnotatedImage(Image.new("RGB", (16, 8)), objects, ("dog", "cat"), "one", **options)


def test_masks_are_there_where_every_object_has_one():
    whole = object_target([_object(mask=MASK), _object(mask=~MASK)], ("dog",), [0, 0])
    assert whole["masks"].shape == (2, 8, 16) and whole["masks"].dtype == torch.bool
    assert "masks" not in object_target([_object(mask=MASK), _object()], ("dog",), [0, 0])
    assert "masks" not in object_target([_object(mask=MASK)], ("dog",), [0], masks=False)


def test_masks_of_no_objects_are_there_where_the_data_set_has_masks():
    target = object_target([], ("dog",), [], size=(8, 16), masks=True)
    assert target["masks"].shape == (0, 8, 16) and target["masks"].dtype == torch.bool
    assert target["bboxes"].shape == (0, 4) and target["labels"].dtype == torch.long
    assert "masks" not in object_target([], ("dog",), [], size=(8, 16))


@pytest.mark.parametrize("objects", [[_object()], []])
def test_masks_that_are_wanted_and_missing(objects):
    with pytest.raises(InputError, match="Masks are wanted"):
        object_target(objects, ("dog",), [0] * len(objects), masks=True)


def test_areas_are_those_of_the_data_set():
    target = object_target([_object(area=2.5), _object(area=7)], ("dog",), [0, 0])
    assert target["areas"].tolist() == [2.5, 7] and target["areas"].dtype == torch.float64
    assert "areas" not in object_target([_object(area=2.5), _object()], ("dog",), [0, 0])


def test_what_is_ignored_has_keys_of_its_own():
    target = ignored_target([_object(mask=MASK, area=4)], [1])
    assert target["ignored_bboxes"].tolist() == [[0, 0, 2, 3]]
    assert target["ignored_labels"].tolist() == [1]
    assert target["ignored_masks"].shape == (1, 8, 16)
    assert target["ignored_areas"].tolist() == [4]
    assert ignored_target([_object()], [0]).keys() == {"ignored_bboxes", "ignored_labels"}
    assert ignored_target([], []) == {}


def test_detection_target_ignores_only_what_was_asked_for():
    record = _record(_object(), ignored=(_object("cat", 4), _object("dog", 8)))
    target = detection_target(record, ["dog"], (8, 16))
    assert target["ignored_bboxes"].tolist() == [[8, 0, 10, 3]]
    assert target["ignored_labels"].tolist() == [0]
    both = detection_target(record, ["cat", "dog"], (8, 16))
    assert both["ignored_labels"].tolist() == [0, 1] and both["labels"].tolist() == [1]


def test_detection_target_says_what_the_record_knows():
    record = _record(dataset="mini", synonyms={"dog": ("hound",)}, void=MASK)
    target = detection_target(record, ["cat", "dog"], (8, 16))
    assert target["dataset"] == "mini" and target["synonyms"] == {"dog": ("hound",)}
    assert target["size"] == (8, 16) and (target["void"].numpy() == MASK).all()
    bare = detection_target(_record(), ["dog"], (8, 16))
    assert bare.keys() == {"bboxes", "labels", "names", "size"}
    assert "synonyms" not in detection_target(record, ["cat"], (8, 16))


def test_image_of_crowds_with_masks_has_masks_of_no_objects():
    crowd = _record(ignored=(_object(mask=MASK),))
    assert detection_target(crowd, ["dog"], (8, 16))["masks"].shape == (0, 8, 16)
    assert "masks" not in detection_target(_record(ignored=(_object(),)), ["dog"], (8, 16))
    assert "masks" not in detection_target(crowd, ["dog"], (8, 16), masks=False)
