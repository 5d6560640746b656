"""LVIS files: only some classes are known of an image."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
import torch
from PIL import Image

from superlink.data.readers.lvis import read_lvis
from superlink.errors import InputError
from superlink.evaluation import DetectionEvaluator
from superlink.interfaces import Call, InstancePrediction, Reply, Route
from superlink.tasks.detection import detection_conversation

URL = "http://images.cocodataset.org/train2017/000000391895.jpg"
CATEGORIES = [
    {"id": 1, "name": "crab_(animal)", "synonyms": ["crab_(animal)"]},
    {"id": 2, "name": "baseball_bat", "synonyms": ["baseball_bat", "bat_for_baseball"]},
    {"id": 3, "name": "polo_shirt", "synonyms": ["polo_shirt", "sport_shirt"]},
    {"id": 4, "name": "zebra", "synonyms": ["zebra"]},
]


def _image(**changes):
    entry = {"id": 5, "coco_url": URL, "width": 10, "height": 8}
    return {**entry, "neg_category_ids": [4], "not_exhaustive_category_ids": [3], **changes}


def _annotation(**changes):
    entry = {"id": 1, "image_id": 5, "category_id": 2, "bbox": [1, 2, 4, 3], "area": 9.0}
    return {**entry, "segmentation": [[1, 2, 5, 2, 5, 5, 1, 5]], **changes}


def _read(folder, *annotations, images=None, places=("train2017/000000391895.jpg",), **options):
    for place in places:
        (folder / place).parent.mkdir(exist_ok=True)
        Image.new("RGB", (10, 8)).save(folder / place)
    images = [_image()] if images is None else images
    content = {"images": images, "annotations": list(annotations), "categories": CATEGORIES}
    (folder / "lvis.json").write_text(json.dumps(content))
    return read_lvis(folder / "lvis.json", folder, **options)


def test_two_images(tmp_path):
    second = _image(id=6, coco_url=URL.replace("391895", "000002"), neg_category_ids=[1, 2])
    places = ("train2017/000000391895.jpg", "train2017/000000000002.jpg")
    entries = (_annotation(), _annotation(id=2, image_id=6, category_id=3))
    dataset = _read(tmp_path, *entries, images=[_image(), second], places=places)
    assert dataset.categories == ("crab (animal)", "baseball bat", "polo shirt", "zebra")
    assert [record.key for record in dataset] == list(places)
    assert all(record.open().size == record.size for record in dataset)


def test_only_classes_shown_or_made_sure_of_are_known(tmp_path):
    record = _read(tmp_path, _annotation(), _annotation(id=2, category_id=1))[0]
    assert set(record.categories) == {"crab (animal)", "baseball bat", "zebra"}
    assert [item.name for item in record.objects] == ["baseball bat", "crab (animal)"]


def test_names_and_synonyms_have_spaces(tmp_path):
    record = _read(tmp_path, _annotation())[0]
    assert record.synonyms == {"baseball bat": ("bat for baseball",)}


def test_objects_of_a_class_that_is_not_exhaustive_say_so(tmp_path):
    record = _read(tmp_path, _annotation(), _annotation(id=2, category_id=3))[0]
    assert [dict(item.attributes) for item in record.objects] == [{}, {"exhaustive": False}]


@pytest.mark.parametrize("masks", [False, True])
def test_one_more_of_a_class_that_is_not_exhaustive_is_neither_right_nor_wrong(tmp_path, masks):
    entries = (_annotation(), _annotation(id=2, category_id=3))
    record = _read(tmp_path, *entries, masks=masks)[0]
    (whole,) = record.ignored
    assert (whole.name, whole.bbox, whole.area) == ("polo shirt", (0, 0, 10, 8), 80)
    assert whole.mask.all() if masks else whole.mask is None
    sample = detection_conversation(record, random.Random(0), False, masks=masks)
    names = sample.targets[0]["names"]
    boxes = [*sample.targets[0]["bboxes"].tolist(), [6.0, 4.0, 9.0, 8.0]]
    labels = [*sample.targets[0]["labels"].tolist(), names.index("polo shirt")]
    scores = torch.tensor([0.5] * (len(boxes) - 1) + [0.9])
    found = InstancePrediction(torch.tensor(boxes), scores, torch.tensor(labels), names)
    routes = tuple(Route(0, 1, "[DET]", name) for name in names)
    call = Call(0, 1, "toy", tuple(range(len(names))), 0)
    evaluator = DetectionEvaluator()
    row = evaluator.measure(sample, Reply("", "", routes, (call,), (found,)))
    assert evaluator.summarize([row])["box_AP"] == pytest.approx(1.0)


def test_box_that_is_left_out_tells_nothing_of_its_class(tmp_path):
    dataset = _read(tmp_path, _annotation(bbox=[1, 1, 0, 3]))
    assert dataset[0].categories == ("zebra",)
    assert dataset.problems.reasons() == {"its box has no area": 1}


def test_image_of_which_nothing_is_known_is_left_out(tmp_path):
    images = [_image(id=6, neg_category_ids=[]), _image()]
    dataset = _read(tmp_path, images=images)
    assert [record.categories for record in dataset] == [("zebra",)]
    assert dataset.problems.reasons() == {"nothing is known of it": 1}


def test_masks_and_areas(tmp_path):
    pytest.importorskip("pycocotools")
    (item,) = _read(tmp_path, _annotation(), masks=True)[0].objects
    assert (item.mask.shape, item.mask.sum(), item.area) == ((8, 10), 12, 9.0)
    assert item.mask.dtype == np.bool_


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({}, "train2017/000000391895.jpg"),
        ({}, "000000391895.jpg"),
        ({"coco_url": "", "file_name": "COCO_val2014_1.jpg"}, "COCO_val2014_1.jpg"),
        ({"file_name": "val2017/3.jpg"}, "val2017/3.jpg"),
    ],
)
def test_image_is_found_in_its_folder_or_without(tmp_path, changes, place):
    (record,) = _read(tmp_path, images=[_image(**changes)], places=(place,))
    assert record.open().size == (10, 8)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"neg_category_ids": [77]}, "unknown category"),
        ({"not_exhaustive_category_ids": [77]}, "unknown category"),
        ({"neg_category_ids": None}, r"at `\$\.neg_category_ids`"),
        ({"coco_url": "http://["}, "its image is not in the folder"),
        ({"coco_url": ""}, "its image is not in the folder"),
    ],
)
def test_image_that_is_broken_is_raised_or_left_out(tmp_path, changes, reason):
    images = [_image(id=6), _image(**changes)]
    with pytest.raises(InputError, match=rf"lvis\.json: .*{reason}"):
        _read(tmp_path, images=images)
    dataset = _read(tmp_path, _annotation(), images=images, broken="skip")
    assert len(dataset) == 1 and len(dataset.problems) == 1


def test_file_of_coco_is_no_lvis_file(tmp_path):
    image = {"id": 5, "file_name": "000000391895.jpg", "width": 10, "height": 8}
    with pytest.raises(InputError, match="missing required field `neg_category_ids`"):
        _read(tmp_path, images=[image])


def test_broken_file_is_called_by_its_kind(tmp_path):
    (tmp_path / "lvis.json").write_text("[]")
    with pytest.raises(InputError, match=r"lvis\.json is no usable LVIS file"):
        read_lvis(tmp_path / "lvis.json", tmp_path)
