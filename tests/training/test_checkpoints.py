"""Checkpoints of a stage: whole or not at all, checked, and the one before where one is damaged."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superlink.training.checkpoints import newest_whole, publish, remove_after, remove_old


def make(folder, step, size=64):
    fresh = folder / ".writing" / f"checkpoint-{step}"
    (fresh / "inner").mkdir(parents=True)
    (fresh / "weights").write_bytes(bytes(range(256)) * size)
    (fresh / "inner" / "state").write_bytes(b"state" + bytes([step]))
    assert publish(fresh, folder / fresh.name) == ""
    return folder / fresh.name


def test_the_newest_whole_one_is_found_and_old_ones_go(tmp_path):
    assert newest_whole(tmp_path) is None
    made = [make(tmp_path, step) for step in (2, 10, 9)]
    assert newest_whole(tmp_path) == made[1]
    remove_old(tmp_path, 2)
    assert sorted(path.name for path in tmp_path.glob("checkpoint-*")) == [
        "checkpoint-10",
        "checkpoint-9",
    ]


@pytest.mark.parametrize("name", ["weights", "inner/state", "files.json"])
@pytest.mark.parametrize("harm", ["cut", "flip", "remove"])
def test_damage_is_told_and_the_one_before_is_used(tmp_path, caplog, name, harm):
    before, last = make(tmp_path, 1), make(tmp_path, 2)
    path = last / name
    content = path.read_bytes()
    if harm == "remove":
        path.unlink()
    else:
        path.write_bytes(content[:-1] if harm == "cut" else content[:-1] + b"!")
    with caplog.at_level(logging.WARNING):
        assert newest_whole(tmp_path) == before
    assert f"{last} cannot be used" in caplog.text
    assert "The run goes on from the checkpoint before it" in caplog.text
    assert last.exists()  # who only looks removes nothing
    remove_after(tmp_path, before)
    assert before.exists() and not last.exists()  # it would take the place of whole ones
    make(tmp_path, 2)
    assert newest_whole(tmp_path) == last


@given(st.binary(max_size=40))
def test_any_list_of_files_is_read_without_a_crash(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("run")
    last = make(folder, 1)
    (last / "files.json").write_bytes(content)
    newest_whole(folder)


def test_a_checkpoint_that_cannot_be_moved_says_why(tmp_path):
    fresh = tmp_path / ".writing" / "checkpoint-1"
    fresh.mkdir(parents=True)
    (tmp_path / "checkpoint-1").write_text("a file where the folder should be")
    assert "checkpoint-1" in publish(fresh, tmp_path / "checkpoint-1")


def test_damaged_checkpoints_do_not_push_whole_ones_out(tmp_path):
    for step in (4, 6):
        (make(tmp_path, step) / "weights").unlink()
    remove_after(tmp_path, newest_whole(tmp_path))
    made = make(tmp_path, 2)
    remove_old(tmp_path, 2)
    assert newest_whole(tmp_path) == made
