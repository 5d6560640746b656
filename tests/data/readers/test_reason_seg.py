"""ReasonSeg: texts with the union of polygons as their answer."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from PIL import Image

from superlink.data.readers.reason_seg import read_reason_seg
from superlink.errors import ConfigError, InputError


def _square(label, x1, y1, x2, y2):
    return {"label": label, "points": [[x1, y1], [x2, y1], [x2, y2], [x1, y2]]}


def _add(folder, name="a", *shapes, text=("What is warm?",), encoding="utf-8", **changes):
    Image.new("RGB", (20, 10)).save(folder / f"{name}.jpg")
    shapes = list(shapes) or [_square("target", 2, 3, 5, 6)]
    content = {"text": list(text), "is_sentence": True, "shapes": shapes, **changes}
    (folder / f"{name}.json").write_text(json.dumps(content, ensure_ascii=False), encoding)


def _box(x1, y1, x2, y2):
    mask = np.zeros((10, 20), np.bool_)
    mask[y1 : y2 + 1, x1 : x2 + 1] = True  # polygons own their border
    return mask


def test_read_reason_seg_yields_a_record_for_each_text(tmp_path):
    _add(tmp_path, "a", text=("What is warm?", "Where would one sit?"))
    _add(tmp_path, "b", text=("the stove",))
    dataset = read_reason_seg(tmp_path)
    assert [record.expression for record in dataset] == [
        "What is warm?",
        "Where would one sit?",
        "the stove",
    ]
    record = dataset[1]
    (item,) = record.objects
    assert (item.mask == _box(2, 3, 5, 6)).all() and item.bbox == (2, 3, 6, 7)
    assert record.void is None and record.size == (20, 10)
    assert record.open().size == (20, 10)
    assert [record.key for record in dataset] == ["a.jpg#0", "a.jpg#1", "b.jpg#0"]
    assert pickle.loads(pickle.dumps(dataset))[2].expression == "the stove"


@pytest.mark.parametrize("is_sentence", [True, False])
def test_record_says_whether_it_is_a_sentence(tmp_path, is_sentence):
    _add(tmp_path, is_sentence=is_sentence)
    assert read_reason_seg(tmp_path)[0].is_sentence is is_sentence


def test_flag_means_nothing_whatever_its_points(tmp_path):
    _add(tmp_path, "a", _square("target", 1, 1, 3, 3), {"label": "Flag", "points": [[1, 1]]})
    assert (read_reason_seg(tmp_path)[0].objects[0].mask == _box(1, 1, 3, 3)).all()


def test_first_text_alone(tmp_path):
    _add(tmp_path, "a", text=("What is warm?", "Where would one sit?"))
    _add(tmp_path, "b", text=("the stove",))
    assert [r.key for r in read_reason_seg(tmp_path, texts="first")] == ["a.jpg#0", "b.jpg#0"]
    with pytest.raises(ConfigError, match="texts='last'"):
        read_reason_seg(tmp_path, texts="last")


def test_read_reason_seg_joins_targets_and_tells_what_to_ignore(tmp_path):
    _add(
        tmp_path,
        "a",
        _square("target", 1, 1, 3, 3),
        _square("Target", 6, 1, 8, 3),
        _square("ignore", 12, 1, 14, 3),
        _square("flag", 0, 8, 19, 9),
    )
    (record,) = read_reason_seg(tmp_path)
    assert (record.objects[0].mask == _box(1, 1, 3, 3) | _box(6, 1, 8, 3)).all()
    assert (record.void == _box(12, 1, 14, 3)).all()


@pytest.mark.parametrize("inner", ["ignore", "target"])
def test_of_polygons_on_each_other_the_smaller_counts(tmp_path, inner):
    outer = "target" if inner == "ignore" else "ignore"
    _add(tmp_path, "a", _square(inner, 4, 4, 6, 6), _square(outer, 1, 1, 12, 8))
    (record,) = read_reason_seg(tmp_path)
    ring = _box(1, 1, 12, 8) & ~_box(4, 4, 6, 6)
    target, void = (ring, ~ring) if inner == "ignore" else (~ring, ring)
    whole = _box(1, 1, 12, 8)
    assert (record.objects[0].mask == target & whole).all()
    assert (record.void == void & whole).all()


def test_read_reason_seg_reads_what_windows_wrote(tmp_path):
    _add(
        tmp_path,
        text=("Where is the café\N{RIGHT SINGLE QUOTATION MARK}s door?",),
        encoding="cp1252",
    )
    assert "café\N{RIGHT SINGLE QUOTATION MARK}s" in read_reason_seg(tmp_path)[0].expression


def test_image_without_a_target_has_no_objects(tmp_path):
    _add(tmp_path, "a", _square("ignore", 1, 1, 3, 3))
    assert read_reason_seg(tmp_path)[0].objects == ()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"text": []}, "there is none, or it is empty"),
        ({"text": [" "]}, "there is none, or it is empty"),
        ({"shapes": [{"label": "target", "points": [[1, 2], [3, 4]]}]}, "fewer than 3 points"),
        ({"shapes": [{"label": "target", "points": [[1, 2, 3]]}]}, "its structure is wrong"),
        ({"shapes": None}, "its structure is wrong"),
    ],
)
def test_read_reason_seg_of_a_broken_file(tmp_path, changes, reason):
    _add(tmp_path, "a")
    _add(tmp_path, "b", **changes)
    with pytest.raises(InputError, match=rf"b\.json: .*{reason}"):
        read_reason_seg(tmp_path)
    dataset = read_reason_seg(tmp_path, broken="skip")
    assert [record.key for record in dataset] == ["a.jpg#0"]
    assert any(reason in found for found in dataset.problems.reasons())


@pytest.mark.parametrize("gone", ["b.jpg", "b.json"])
def test_read_reason_seg_of_a_file_without_the_other(tmp_path, gone):
    _add(tmp_path, "a")
    _add(tmp_path, "b")
    (tmp_path / gone).unlink()
    with pytest.raises(InputError, match=r"b in .* beside it"):
        read_reason_seg(tmp_path)
    assert len(read_reason_seg(tmp_path, broken="skip")) == 1


def test_read_reason_seg_of_nothing(tmp_path):
    with pytest.raises(InputError, match="no text to offer"):
        read_reason_seg(tmp_path)
    with pytest.raises(InputError, match="No such folder"):
        read_reason_seg(tmp_path / "gone")


def test_read_reason_seg_of_a_broken_image(tmp_path):
    _add(tmp_path)
    (tmp_path / "a.jpg").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"a\.jpg"):
        read_reason_seg(tmp_path)[0]
