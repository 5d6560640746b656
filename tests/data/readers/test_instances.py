"""COCO's images that show an object."""

from __future__ import annotations

import json
import pickle
import random

import pytest
from PIL import Image

from superlink.data import read_instances
from superlink.errors import InputError
from superlink.tasks.interactive import interactive_conversation


def _read(folder, annotations, **options):
    for name in "abc":
        Image.new("RGB", (10, 8)).save(folder / f"{name}.png")
    runs = {"size": [8, 10], "counts": [10, 5, 65]}
    content = {
        "images": [
            {"id": index, "file_name": f"{name}.png", "width": 10, "height": 8}
            for index, name in enumerate("abc")
        ],
        "categories": [{"id": 3, "name": "cat"}],
        "annotations": [
            {"id": i, "category_id": 3, "bbox": [1, 1, 3, 3], "segmentation": runs, **one}
            for i, one in enumerate(annotations)
        ],
    }
    (folder / "notes.json").write_text(json.dumps(content))
    return read_instances(folder / "notes.json", folder, **options)


def test_images_without_objects_are_left_out(tmp_path):
    dataset = _read(tmp_path, [{"image_id": 1, "iscrowd": 1}, {"image_id": 2}, {"image_id": 2}])
    assert [record.key for record in dataset] == ["c.png"] and dataset.categories == ("cat",)
    assert dataset[0].objects[0].mask.sum() == 5 and len(dataset[0].objects) == 2
    assert pickle.loads(pickle.dumps(dataset))[0].key == "c.png"
    assert _read(tmp_path, [{"image_id": 2}], masks=False)[0].objects[0].mask is None


def test_a_set_without_objects_is_refused(tmp_path):
    with pytest.raises(InputError, match="no image with objects to offer"):
        _read(tmp_path, [{"image_id": 1, "iscrowd": 1}])


def test_real_images_can_be_marked(coco_mini):
    records = read_instances(coco_mini / "instances_val.json", coco_mini / "images")
    for seed, record in enumerate(records[:4]):
        sample = interactive_conversation(record, random.Random(seed), True)
        masks = sample.targets[0]["masks"].numpy()
        for region, mask in zip(sample.regions, masks, strict=True):
            assert (region.raster(mask.shape) & mask).any()
