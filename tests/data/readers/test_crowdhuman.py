"""CrowdHuman: full boxes, which may leave the image, and people that do not count."""

from __future__ import annotations

import json
import pickle

import pytest
from PIL import Image

from superlink.data.readers.crowdhuman import read_crowdhuman
from superlink.errors import InputError


def _person(fbox=(1, 2, 4, 3), **changes):
    boxes = {"fbox": list(fbox), "vbox": [1, 2, 3, 3], "hbox": [1, 2, 1, 1], "head_attr": {}}
    return {"tag": "person", **boxes, "extra": {"box_id": 0, "occ": 0}, **changes}


def _line(key, *people):
    return json.dumps({"ID": key, "gtboxes": list(people)})


def _read(folder, *lines, keys=("273,1a", "274,2b"), **options):
    for key in keys:
        Image.new("RGB", (10, 8)).save(folder / f"{key}.jpg")
    (folder / "people.odgt").write_text("\n".join(lines) + "\n")
    return read_crowdhuman(folder / "people.odgt", folder, **options)


def test_two_images(tmp_path):
    dataset = _read(tmp_path, _line("274,2b", _person(), _person((0, 0, 2, 2))), _line("273,1a"))
    first, second = pickle.loads(pickle.dumps(dataset))
    assert [item.bbox for item in first.objects] == [(1, 2, 5, 5), (0, 0, 2, 2)]
    assert (first.key, second.key) == ("274,2b", "273,1a")
    assert first.categories == second.categories == ("person",)
    assert first.open().size == (10, 8) and not second.objects


def test_full_boxes_are_not_cut_at_the_image(tmp_path):
    record = _read(tmp_path, _line("273,1a", _person((-3, -1, 20, 30))))[0]
    assert record.objects[0].bbox == (-3, -1, 17, 29)
    assert record.size is None
    record.open()


@pytest.mark.parametrize("changes", [{"tag": "mask"}, {"extra": {"ignore": 1, "box_id": 3}}])
def test_people_that_do_not_count_are_ignored(tmp_path, changes):
    record = _read(tmp_path, _line("273,1a", _person(), _person((0, 0, 2, 2), **changes)))[0]
    assert [item.bbox for item in record.objects] == [(1, 2, 5, 5)]
    assert [(item.name, item.bbox) for item in record.ignored] == [("person", (0, 0, 2, 2))]


def test_person_without_extra_counts(tmp_path):
    person = _person()
    del person["extra"]
    assert len(_read(tmp_path, _line("273,1a", person))[0].objects) == 1


def test_boxes_without_an_area_are_left_out_and_counted(tmp_path):
    dataset = _read(tmp_path, _line("273,1a", _person((1, 2, 0, 3)), _person()))
    assert len(dataset[0].objects) == 1
    assert [str(p).split(" in ")[0] for p in dataset.problems] == ["box 0 of image 273,1a"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"ID": "273,1a"', r"line 2 in .*people\.odgt: .*truncated"),
        ('{"ID": "273,1a"}', "line 2 .*missing required field `gtboxes`"),
        (_line("273,1a", _person(tag="cat")), r"line 2 .*at `\$\.gtboxes\[\.\.\.\]\.tag`"),
        (_line("273,1a", _person((1, 2, 3))), "line 2 .*length 4"),
        (_line("273,1a", {"tag": "person"}), "line 2 .*missing required field `fbox`"),
        (_line("274,2b"), "line 2 .*another line has its ID"),
        (_line("gone"), r"image gone\.jpg .*not in the folder"),
    ],
)
def test_line_that_is_broken_is_raised_or_left_out(tmp_path, line, reason):
    good = _line("274,2b", _person())
    with pytest.raises(InputError, match=reason):
        _read(tmp_path, good, line)
    dataset = _read(tmp_path, good, line, broken="skip")
    assert [record.key for record in dataset] == ["274,2b"]
    assert len(dataset.problems) == 1


def test_file_that_is_missing_or_empty(tmp_path):
    with pytest.raises(InputError, match=r"gone\.odgt"):
        read_crowdhuman(tmp_path / "gone.odgt", tmp_path)
    with pytest.raises(InputError, match=r"people\.odgt has no image to offer"):
        _read(tmp_path, "")
