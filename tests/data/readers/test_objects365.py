"""Objects365: COCO's form, and images in the folders that users have."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from superlink.data.readers.objects365 import read_objects365
from superlink.errors import InputError

NAMES = ("images/v2/patch16/objects365_v2_00908726.jpg", "images/v1/patch3/objects365_v1_07.jpg")


def _read(folder, *annotations, places=(), **options):
    for place in places:
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (10, 8)).save(folder / place)
    content = {
        "images": [
            {"id": index, "file_name": name, "width": 10, "height": 8, "license": 5}
            for index, name in enumerate(NAMES)
        ],
        "annotations": list(annotations),
        "categories": [{"id": 1, "name": "Cabinet/shelf"}, {"id": 2, "name": "Person"}],
    }
    (folder / "objects.json").write_text(json.dumps(content))
    return read_objects365(folder / "objects.json", folder, **options)


def _annotation(**changes):
    flags = {"iscrowd": 0, "isfake": 0, "isreflected": 0}
    entry = {"id": 1, "image_id": 0, "category_id": 1, "bbox": [1, 2, 4, 3], "area": 12.0}
    return {**entry, **flags, **changes}


@pytest.mark.parametrize(
    "places",
    [
        NAMES,
        ("patch16/objects365_v2_00908726.jpg", "patch3/objects365_v1_07.jpg"),
        ("objects365_v2_00908726.jpg", "objects365_v1_07.jpg"),
        ("patch16/objects365_v2_00908726.jpg", "objects365_v1_07.jpg"),
    ],
)
def test_two_images_are_found_in_any_of_their_places(tmp_path, places):
    dataset = _read(tmp_path, _annotation(), places=places)
    assert [record.key for record in dataset] == list(NAMES)
    assert all(record.open().size == (10, 8) for record in dataset)
    assert dataset[0].objects[0].bbox == (1, 2, 5, 5)


def test_names_are_kept_and_crowds_ignored(tmp_path):
    dataset = _read(tmp_path, _annotation(iscrowd=1), places=NAMES)
    assert dataset.categories == ("Cabinet/shelf", "Person")
    assert [item.name for item in dataset[0].ignored] == ["Cabinet/shelf"]


def test_missing_image_is_raised_or_left_out_with_its_annotations(tmp_path):
    with pytest.raises(InputError, match=r"image 0 \(images/v2/patch16.*not in the folder"):
        _read(tmp_path, places=NAMES[1:])
    dataset = _read(tmp_path, _annotation(), places=NAMES[1:], broken="skip")
    assert [record.key for record in dataset] == [NAMES[1]]
    assert len(dataset.problems) == 1


def test_broken_annotation_is_raised(tmp_path):
    with pytest.raises(InputError, match=r"annotations\[0\] in .*objects\.json"):
        _read(tmp_path, _annotation(bbox=[1]), places=NAMES)


def test_broken_file_is_called_by_its_kind(tmp_path):
    (tmp_path / "objects.json").write_text('{"images": []}')
    with pytest.raises(InputError, match=r"objects\.json is no usable Objects365 file"):
        read_objects365(tmp_path / "objects.json", tmp_path)
