"""Files that are missing or broken are told apart, and images are found in one listing."""

from __future__ import annotations

import os
import pickle

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superlink.data.problems import Problems
from superlink.data.readers.files import (
    RawColumn,
    keep_present,
    present_files,
    read_items,
    read_json,
    read_lines,
    refuse_empty,
)
from superlink.errors import InputError


class Item(msgspec.Struct):
    id: int
    values: list[float] = []
    name: str = ""


@pytest.fixture
def notes(tmp_path):
    return tmp_path / "notes.json"


def _raw(*items):
    return [msgspec.Raw(item) for item in items]


def test_read_json_accepts_a_byte_order_mark(notes):
    notes.write_bytes(b'\xef\xbb\xbf{"id": 3}')
    assert read_json(notes, Item, "list").id == 3


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"id": 3', "cut short after 8 bytes"),
        (b"", "cut short after 0 bytes"),
        (b'{"id": 3]', r"invalid character|malformed.*byte 8"),
        (b'{"id": 3, "values": [NaN]}', r"no JSON.*byte 21"),
        (b"[]", "Expected `object`, got `array`"),
        (b"{}", "missing required field `id`"),
        (b'{"id": 3, "name": "\xff"}', "no UTF-8"),
        (b'{"id": 3, "more": ' + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_read_json_of_what_is_broken_says_how(notes, data, reason):
    notes.write_bytes(data)
    with pytest.raises(InputError, match=rf"notes\.json is no usable list: .*{reason}"):
        read_json(notes, Item, "list")


def test_read_json_without_a_file(tmp_path):
    with pytest.raises(InputError, match=r"No such annotation file.*gone\.json"):
        read_json(tmp_path / "gone.json", Item, "list")
    with pytest.raises(InputError, match="No such annotation file"):
        read_json(tmp_path, Item, "list")


def test_read_items_leaves_out_what_is_broken(notes):
    problems, seen = Problems("skip"), []
    raw = _raw(b'{"id": 1}', b'{"id": "x"}', b'{"id": 2, "values": [1, null]}', b'{"id": 3}')
    found = list(read_items(notes, raw, Item, "items", problems, left_out=seen.append))
    assert [(number, item.id) for number, item in found] == [(0, 1), (3, 3)]
    assert [problem.item for problem in problems] == ["items[1]", "items[2]"]
    assert bytes(seen[0]) == b'{"id": "x"}'


def test_read_items_gives_one_reason_for_one_kind_of_fault(notes):
    problems = Problems("skip")
    raw = _raw(b'{"id": 1, "values": [1, "x"]}', b'{"id": 1, "values": ["x"]}')
    assert not list(read_items(notes, raw, Item, "items", problems))
    assert list(problems.reasons().values()) == [2]


def test_read_items_raises_where_problems_are_errors(notes):
    with pytest.raises(InputError, match=r"items\[0\] in .*notes\.json.*got `str`"):
        list(read_items(notes, _raw(b'{"id": "x"}'), Item, "items", Problems("error")))


def test_read_lines_counts_lines_and_passes_over_empty_ones(tmp_path):
    file = tmp_path / "notes.odgt"
    file.write_bytes(b'{"id": 1}\r\n\n{"id": 2\n{"id": 3}')
    problems = Problems("skip")
    assert [(n, item.id) for n, item in read_lines(file, Item, problems)] == [(1, 1), (4, 3)]
    assert [problem.item for problem in problems] == ["line 3"]


@given(st.lists(st.binary(max_size=5)))
def test_raw_column_gives_back_what_was_put_in(values):
    column = pickle.loads(pickle.dumps(RawColumn(values)))
    assert [column[index] for index in range(len(column))] == values


def test_present_files_lists_each_folder_once(tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    for name in ("a.png", "b.png", "sub/c.png"):
        (tmp_path / name).touch()
    (tmp_path / "linked.png").symlink_to(tmp_path / "a.png")
    listed, scandir = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(path) or scandir(path))
    names = ["a.png", "b.png", "gone.png", "sub", "sub/c.png", "other/d.png", "linked.png"]
    present = present_files(tmp_path, [*names, str(tmp_path / "b.png")])
    assert present == {"a.png", "b.png", "sub/c.png", "linked.png", str(tmp_path / "b.png")}
    assert len(listed) == 4  # the folder under its two names, and two below it


@pytest.mark.parametrize("name", ["", "a\0.png", "a\0/b.png", "x" * 300 + "/b.png", "..", "a/"])
def test_present_files_of_names_that_none_can_have(tmp_path, name):
    assert present_files(tmp_path, [name]) == set()


def test_present_files_without_a_folder(tmp_path):
    with pytest.raises(InputError, match="No such folder of images"):
        present_files(tmp_path / "gone", ["a.png"])


def test_keep_present_names_what_is_missing(tmp_path, notes):
    (tmp_path / "a.png").touch()
    problems = Problems("skip")
    names = ["a.png", "b.png", "a.png"]
    assert keep_present(notes, tmp_path, names, problems) == [0, 2]
    assert keep_present(notes, tmp_path, ["b.png"], problems, items=["line 4"]) == []
    assert [problem.item for problem in problems] == ["image b.png", "line 4"]
    with pytest.raises(InputError, match=r"image b\.png in .*notes\.json.*not in the folder"):
        keep_present(notes, tmp_path, names, Problems("error"))


def test_refuse_empty_says_what_was_left_out(notes):
    problems = Problems("skip")
    refuse_empty(1, notes, problems)
    problems.add(notes, "image 1", "it is gone")
    with pytest.raises(InputError, match=r"notes\.json has no image.*1 x it is gone"):
        refuse_empty(0, notes, problems)
