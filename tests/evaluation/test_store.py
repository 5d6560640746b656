"""Rows on disk: shared between processes, whole after a kill, refused elsewhere."""

from __future__ import annotations

import itertools
import json

import pytest

from superlink.errors import InputError
from superlink.evaluation.processes import Processes
from superlink.evaluation.store import RowStore

ALONE = Processes()
IDENTITY = {"model": "abc", "batch_size": 2}


def _rows(batch):
    return [{"value": batch / 3}]


def test_rows_come_back_in_the_order_of_batches(tmp_path):
    store = RowStore(tmp_path / "rows", IDENTITY, ALONE)
    for batch in (2, 0, 1):
        store.add(batch, _rows(batch))
    assert store.gather(3) == [{"value": 0.0}, {"value": 1 / 3}, {"value": 2 / 3}]


def test_what_was_done_is_not_done_again(tmp_path):
    RowStore(tmp_path, IDENTITY, ALONE).add(1, _rows(1))
    again = RowStore(tmp_path, IDENTITY, ALONE)
    assert again.left(4) == [0, 2, 3]
    for batch in again.left(4):
        again.add(batch, _rows(batch))
    assert [row["value"] for row in again.gather(4)] == [0, 1 / 3, 2 / 3, 1]


def test_line_that_a_kill_cut_short_is_done_again(tmp_path):
    store = RowStore(tmp_path, IDENTITY, ALONE)
    store.add(0, _rows(0))
    store.add(1, _rows(1))
    (path,) = tmp_path.glob("rows-*.jsonl")
    path.write_text(path.read_text()[:-5])
    assert RowStore(tmp_path, IDENTITY, ALONE).left(2) == [1]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_processes_share_all_that_is_left(tmp_path, count):
    RowStore(tmp_path, IDENTITY, ALONE).add(3, _rows(3))
    stores = [RowStore(tmp_path, IDENTITY, Processes(rank, count=count)) for rank in range(count)]
    left = [store.left(10) for store in stores]
    assert sorted(itertools.chain(*left)) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert max(map(len, left)) - min(map(len, left)) <= 1


def test_rows_of_another_evaluation_are_refused(tmp_path):
    RowStore(tmp_path, IDENTITY, ALONE)
    with pytest.raises(InputError, match="batch_size was 2 and is 4"):
        RowStore(tmp_path, {**IDENTITY, "batch_size": 4}, ALONE)
    assert json.loads((tmp_path / "identity.json").read_text()) == IDENTITY


def test_missing_batches_are_told(tmp_path):
    store = RowStore(tmp_path, IDENTITY, ALONE)
    store.add(0, _rows(0))
    with pytest.raises(InputError, match="2 are missing"):
        store.gather(3)


def test_only_its_own_files_are_removed(tmp_path):
    mine, theirs = tmp_path / "progress" / "forced", tmp_path / "progress" / "notes.txt"
    RowStore(mine, IDENTITY, ALONE).add(0, _rows(0))
    RowStore.remove_from(mine)
    assert not (tmp_path / "progress").exists()
    RowStore(mine, IDENTITY, ALONE).add(0, _rows(0))
    theirs.write_text("mine")
    RowStore.remove_from(mine)
    assert theirs.read_text() == "mine" and not mine.exists()


def test_folder_that_goes_away_is_told(tmp_path):
    store = RowStore(tmp_path / "rows", IDENTITY, ALONE)
    RowStore.remove_from(tmp_path / "rows")
    with pytest.raises(InputError, match="another evaluation in the same folder"):
        store.add(0, _rows(0))


def test_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="can be written to"):
        RowStore(tmp_path / "file" / "rows", IDENTITY, ALONE)
