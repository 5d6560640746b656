"""Counts from COCO's annotations."""

from __future__ import annotations

import json
import pickle

import pytest
from PIL import Image

from superlink.data.readers.counts import read_coco_counts
from superlink.errors import InputError


def _annotation(number, category, image=7, **changes):
    entry = {
        "id": number,
        "image_id": image,
        "category_id": category,
        "bbox": [number, 1, 3, 3],
        "segmentation": {"size": [8, 10], "counts": [10, 5, 65]},
    }
    return {**entry, **changes}


def _read(folder, annotations=None, **options):
    for name in "ab":
        Image.new("RGB", (10, 8)).save(folder / f"{name}.png")
    default = [
        _annotation(1, 9),
        _annotation(2, 3),
        _annotation(3, 9),
        _annotation(4, 3, image=8),
        _annotation(5, 3, image=8, iscrowd=1),
        _annotation(6, 9, image=8),
    ]
    content = {
        "images": [
            {"id": 7, "file_name": "a.png", "width": 10, "height": 8},
            {"id": 8, "file_name": "b.png", "width": 10, "height": 8},
        ],
        "categories": [{"id": 3, "name": "cat"}, {"id": 9, "name": "dog"}],
        "annotations": default if annotations is None else annotations,
    }
    (folder / "notes.json").write_text(json.dumps(content))
    return read_coco_counts(folder / "notes.json", folder, **options)


def test_each_class_of_an_image_is_a_record(tmp_path):
    dataset = _read(tmp_path)
    assert [(r.key, r.name, r.count) for r in dataset] == [
        ("a.png#cat", "cat", 1),
        ("a.png#dog", "dog", 2),
        ("b.png#dog", "dog", 1),
    ]
    assert [item.bbox for item in dataset[1].objects] == [(1, 1, 4, 4), (3, 1, 6, 4)]
    assert dataset[1].open().size == dataset[1].size == (10, 8)
    assert dataset[1].objects[0].mask is None
    assert pickle.loads(pickle.dumps(dataset))[2].count == 1


def test_class_with_a_crowd_is_left_out_and_counted(tmp_path):
    problems = _read(tmp_path).problems
    assert problems.reasons()["a crowd of it was not counted one by one"] == 1
    assert "cat in image b.png" in str(next(iter(problems)))


def test_class_of_which_an_annotation_is_broken_is_not_counted(tmp_path):
    entries = [_annotation(1, 9), _annotation(2, 9, bbox=["x", 1, 3, 3]), _annotation(3, 3)]
    dataset = _read(tmp_path, entries, broken="skip")
    assert [record.key for record in dataset] == ["a.png#cat"]
    assert any("left out" in reason for reason in dataset.problems.reasons())


def test_masks_are_decoded_when_asked(tmp_path):
    assert _read(tmp_path, masks=True)[1].objects[0].mask.sum() == 5


def test_images_without_objects_have_nothing_to_count(tmp_path):
    with pytest.raises(InputError, match="no count to offer"):
        _read(tmp_path, [])
