"""FSC-147: counts, and a few boxes as examples."""

from __future__ import annotations

import json
import pickle

import pytest
from PIL import Image

from superlink.data.readers.fsc147 import read_fsc147
from superlink.errors import InputError


def _entry(count, **changes):
    corners = [[1, 2], [1, 6], [5, 6], [5, 2]]
    return {
        "H": 99,
        "W": 99,
        "points": [[i, 2.5] for i in range(count)],
        "box_examples_coordinates": [corners, [[1, 1]] * 4],
        **changes,
    }


def _read(folder, content=None, splits=None, classes=None, names=("1.jpg", "2.jpg"), **options):
    (folder / "images").mkdir(exist_ok=True)
    for name in names:
        Image.new("RGB", (10, 8)).save(folder / "images" / name)
    content = content or {"1.jpg": _entry(3), "2.jpg": _entry(0)}
    (folder / "points.json").write_text(json.dumps(content))
    splits = splits or {"train": ["1.jpg"], "test": ["2.jpg", "1.jpg"]}
    (folder / "splits.json").write_text(json.dumps(splits))
    (folder / "classes.txt").write_text(classes or "1.jpg\tsea shells\n2.jpg\thot air balloons\n")
    given = {"split_file": folder / "splits.json", "classes": folder / "classes.txt", **options}
    return read_fsc147(folder / "points.json", folder / "images", **given)


def test_read_fsc147_counts_points(tmp_path):
    dataset = _read(tmp_path)
    assert [(r.name, r.count, r.key) for r in dataset] == [
        ("hot air balloons", 0, "2.jpg"),
        ("sea shells", 3, "1.jpg"),
    ]
    assert [item.bbox for item in dataset[1].objects] == [(1, 2, 5, 6)]
    assert dataset[1].open().size == (10, 8)
    assert pickle.loads(pickle.dumps(dataset))[1].count == 3


def test_read_fsc147_of_one_split_and_of_all(tmp_path):
    assert [r.key for r in _read(tmp_path, split="train")] == ["1.jpg"]
    records = _read(tmp_path, split_file=None, classes=None)
    assert [(r.key, r.name) for r in records] == [
        ("1.jpg", "sea shells"),
        ("2.jpg", "hot air balloons"),
    ]
    plain = read_fsc147(tmp_path / "points.json", tmp_path / "images")
    assert [r.name for r in plain] == ["objects", "objects"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"splits": {"test": ["1.jpg", "3.jpg"]}}, "it has no annotation"),
        ({"content": {"1.jpg": _entry(3), "2.jpg": {"points": [[1]]}}}, "its structure is wrong"),
        ({"content": {"1.jpg": _entry(3), "2.jpg": {}}}, "points"),
        ({"classes": "1.jpg\tsea shells\n"}, "does not name it"),
        ({"names": ("1.jpg",)}, "not in the folder"),
    ],
)
def test_read_fsc147_of_a_broken_image(tmp_path, changes, reason):
    with pytest.raises(InputError, match=reason):
        _read(tmp_path, **changes)
    dataset = _read(tmp_path, **changes, broken="skip")
    assert [record.key for record in dataset] == ["1.jpg"] and len(dataset.problems) == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"split": "dev"}, r"no split 'dev'. Choose from \['test', 'train'\]"),
        ({"splits": {"test": "1.jpg"}}, "file of splits"),
        ({"classes": "1.jpg sea shells"}, "a tab and a class"),
        ({"content": [1]}, "file of FSC-147"),
        ({"splits": {"test": []}}, "no image to offer"),
    ],
)
def test_read_fsc147_of_something_else(tmp_path, changes, reason):
    with pytest.raises(InputError, match=reason):
        _read(tmp_path, **changes)
