"""Parts of a COCO file: what goes into which, and that nothing is lost."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superlink.data import read_coco
from superlink.data.coco_split import split_keys, write_coco_part
from superlink.errors import ConfigError, InputError

CONTENT = {
    "info": {"year": 2024},
    "images": [
        {"id": 1, "file_name": "a.png", "width": 8, "height": 8, "license": 3},
        {"id": "two", "file_name": "b.png", "width": 8, "height": 8, "category_ids": [1, 2]},
        {"id": 3, "width": 8, "height": 8},
    ],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 4, 4], "score": 0.5},
        {"id": 2, "image_id": 1, "category_id": 2, "bbox": [2, 2, 4, 4]},
        {"id": 3, "image_id": "two", "category_id": 2, "bbox": [0, 0, 4, 4]},
        {"id": 4, "image_id": 3, "category_id": 2, "bbox": [0, 0, 4, 4]},
        {"id": 5, "category_id": 2},
    ],
    "categories": [{"id": 1, "name": "nut"}, {"id": 2, "name": "bolt", "synonyms": ["screw"]}],
}


@pytest.fixture
def part(tmp_path):
    """Write a part of `CONTENT`, and read it: `part({"a.png"}, ["nut"])`."""
    source = tmp_path / "all.json"
    source.write_text(json.dumps(CONTENT))

    def write(keys, classes=None):
        write_coco_part(source, tmp_path / "part.json", keys, classes)
        return json.loads((tmp_path / "part.json").read_text())

    return write


@given(st.sets(st.text(), min_size=2), st.floats(0.01, 0.99), st.integers(0, 99), st.randoms())
def test_split_holds_out_a_share_whatever_the_order(keys, share, seed, rng):
    train, held_out = split_keys(keys, share, seed)
    assert train and held_out
    assert sorted(train + held_out) == sorted(keys)
    assert abs(len(held_out) - share * len(keys)) <= 1
    shuffled = sorted(keys, key=lambda key: rng.random())
    assert split_keys([*shuffled, *shuffled], share, seed) == (train, held_out)


def test_one_image_cannot_be_split():
    with pytest.raises(InputError, match=r"two are needed at least\. Received: 1"):
        split_keys(["a", "a"], 0.5, 0)


def test_entries_are_copied_as_they_are(part):
    found = part({"a.png"})
    assert found["images"] == CONTENT["images"][:1]
    assert found["annotations"] == CONTENT["annotations"][:2]
    assert found["categories"] == CONTENT["categories"]


def test_entries_that_cannot_be_read_stay_out(part):
    found = part({"a.png", "b.png", None, "None"})
    assert [image["id"] for image in found["images"]] == [1, "two"]
    assert [entry["id"] for entry in found["annotations"]] == [1, 2, 3]


def test_chosen_classes_come_alone(part, tmp_path):
    found = part({"a.png", "b.png"}, ["nut"])
    assert [entry["id"] for entry in found["annotations"]] == [1]
    assert [one["name"] for one in found["categories"]] == ["nut"]
    assert found["images"][1]["category_ids"] == [1]  # a class that is gone is not named
    for name in ("a", "b"):
        (tmp_path / f"{name}.png").touch()
    records = read_coco(tmp_path / "part.json", tmp_path)
    assert [record.categories for record in records] == [("nut",), ("nut",)]


def test_unknown_class_is_told_with_the_nearest(part):
    with pytest.raises(ConfigError, match=r"no class 'bold'\. Did you mean 'bolt'\?"):
        part({"a.png"}, ["bold"])
