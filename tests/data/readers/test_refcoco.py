"""RefCOCO: sentences with the boxes and masks of COCO's annotations."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from PIL import Image

from superlink.data.readers.refcoco import read_refcoco
from superlink.errors import InputError

FILES = ("COCO_train2014_000000000007.jpg", "COCO_train2014_000000000008.jpg")


def _ref(number, **changes):
    entry = {
        "ref_id": number,
        "ann_id": 10 + number,
        "image_id": 6 + number,
        "category_id": 3,
        "split": "val",
        "file_name": f"COCO_train2014_{6 + number:012}_{10 + number}.jpg",
        "sentences": [
            {"sent_id": 2 * number, "sent": "left cup", "raw": "Left cup"},
            {"sent_id": 2 * number + 1, "sent": "the red one", "raw": "The red one"},
        ],
    }
    return {**entry, **changes}


def _annotation(number, **changes):
    entry = {
        "id": 10 + number,
        "image_id": 6 + number,
        "category_id": 3,
        "bbox": [1, 2, 4, 3],
        "segmentation": [[1, 2, 5, 2, 5, 5, 1, 5]],
    }
    return {**entry, **changes}


def _read(folder, refs=None, annotations=None, images=FILES, content=None, **options):
    (folder / "images").mkdir(exist_ok=True)
    for name in images:
        Image.new("RGB", (10, 8)).save(folder / "images" / name)
    refs = [_ref(1), _ref(2, split="testA")] if refs is None else refs
    content = content or {"format": "superlink-refs", "version": 1, "refs": refs}
    (folder / "refs.json").write_text(json.dumps(content))
    instances = {
        "images": [
            {"id": 7 + i, "file_name": name, "width": 10, "height": 8}
            for i, name in enumerate(FILES)
        ],
        "categories": [{"id": 3, "name": "cup"}],
        "annotations": [_annotation(1), _annotation(2)] if annotations is None else annotations,
    }
    (folder / "instances.json").write_text(json.dumps(instances))
    return read_refcoco(
        folder / "refs.json", folder / "images", instances=folder / "instances.json", **options
    )


def test_read_refcoco_yields_a_record_for_each_sentence(tmp_path):
    dataset = _read(tmp_path)
    assert [record.expression for record in dataset] == ["left cup", "the red one"]
    record = dataset[1]
    assert record.image == tmp_path / "images" / FILES[0]
    assert record.objects[0].name == "cup" and record.objects[0].bbox == (1, 2, 5, 5)
    expected = np.zeros((8, 10), np.bool_)
    expected[2:5, 1:5] = True
    assert (record.objects[0].mask == expected).all()
    assert record.open().size == record.size == (10, 8)
    assert record.key == f"{FILES[0]}#3" and len({record.key for record in dataset}) == 2


def test_read_refcoco_of_another_split_and_without_masks(tmp_path):
    dataset = _read(tmp_path, split="testA", masks=False)
    assert [record.image.name for record in dataset] == [FILES[1]] * 2
    assert dataset[0].objects[0].mask is None
    again = pickle.loads(pickle.dumps(dataset))
    assert again[0].expression == dataset[0].expression


def test_read_refcoco_cuts_boxes_at_the_image(tmp_path):
    wide = _annotation(1, bbox=[-2, 5, 20, 20])
    assert _read(tmp_path, annotations=[wide], masks=False)[0].objects[0].bbox == (0, 5, 10, 8)


def test_read_refcoco_leaves_boxes_without_area_out_under_either_policy(tmp_path):
    flat = [_annotation(1, bbox=[1, 1, 0, 3]), _annotation(2)]
    dataset = _read(tmp_path, refs=[_ref(1), _ref(2)], annotations=flat)
    assert {record.image.name for record in dataset} == {FILES[1]}
    assert dataset.problems.reasons() == {"its box has no area inside of the image": 1}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"refs": [_ref(1), _ref(2, ann_id=99)]}, "annotation is not among the instances"),
        ({"refs": [_ref(1), _ref(2, image_id=99)]}, "image is not among the instances"),
        ({"refs": [_ref(1), _ref(2, ann_id=11)]}, "annotation is of another image"),
        ({"refs": [_ref(1), _ref(2, sentences=[{"sent_id": 1, "sent": " "}])]}, "is empty"),
        ({"refs": [_ref(1), {"ref_id": 2}]}, "missing required field"),
        ({"annotations": [_annotation(1), _annotation(2, category_id=9)]}, "its category is not"),
        ({"annotations": [_annotation(1), _annotation(2, bbox=[1, 2, 3])]}, "length 4"),
        ({"images": FILES[:1]}, "not in the folder"),
    ],
)
def test_read_refcoco_of_a_broken_reference(tmp_path, changes, reason):
    refs = changes.pop("refs", [_ref(1), _ref(2)])
    with pytest.raises(InputError, match=reason):
        _read(tmp_path, refs, **changes)
    dataset = _read(tmp_path, refs, broken="skip", **changes)
    assert {record.image.name for record in dataset} == {FILES[0]}
    assert any(reason in found for found in dataset.problems.reasons())


def test_read_refcoco_of_a_pickle_names_the_command(tmp_path):
    with pytest.raises(InputError, match=r"superlink data convert refs:'.*refs\(unc\)\.p'"):
        read_refcoco(tmp_path / "refs(unc).p", tmp_path, instances=tmp_path / "instances.json")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"format": "other", "version": 1, "refs": []}, "superlink-refs"),
        ({"format": "superlink-refs", "version": 2, "refs": []}, "version 1"),
        ({"refs": []}, "missing required field"),
        ([1], "JSON of references"),
    ],
)
def test_read_refcoco_of_something_else(tmp_path, content, reason):
    with pytest.raises(InputError, match=reason):
        _read(tmp_path, content=content)


def test_read_refcoco_of_an_unknown_split_names_those_there_are(tmp_path):
    with pytest.raises(InputError, match=r"'testB'.*\['testA', 'val'\]"):
        _read(tmp_path, split="testB")


@pytest.mark.parametrize(
    "segmentation", [[[1, 2]], [], None, {"size": [8, 10], "counts": [3]}, "text"]
)
def test_read_refcoco_of_a_broken_mask_names_the_annotation(tmp_path, segmentation):
    dataset = _read(tmp_path, annotations=[_annotation(1, segmentation=segmentation)])
    with pytest.raises(InputError, match=r"annotation 11 in .*instances\.json"):
        dataset[0]
