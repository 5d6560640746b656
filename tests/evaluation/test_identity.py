"""An evaluation goes on only from what was made with the same files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from superlink.errors import InputError
from superlink.evaluation.identity import file_states, folder_digest


def test_digest_changes_with_a_file(tmp_path):
    (tmp_path / "a").write_text("1")
    before = folder_digest(tmp_path)
    assert folder_digest(tmp_path) == before
    shutil.copy(tmp_path / "a", tmp_path / "b")
    assert folder_digest(tmp_path) != before


def test_digest_of_no_folder_is_refused():
    with pytest.raises(InputError, match="folder of a model"):
        folder_digest(Path("nowhere"))


def test_card_in_the_folder_of_its_model_does_not_count(tmp_path):
    (tmp_path / "weights").write_text("1")
    before = folder_digest(tmp_path, without=tmp_path / "card")
    (tmp_path / "card").mkdir()
    (tmp_path / "card" / "card.json").write_text("{}")
    assert folder_digest(tmp_path, without=tmp_path / "card") == before
    assert folder_digest(tmp_path) != before


def test_files_that_options_name_are_watched(tmp_path):
    path = tmp_path / "instances.json"
    path.write_text("{}")
    options = {"annotations": str(path), "split": "val", "num_scenes": 4}
    before = file_states((options, {}))
    assert list(before) == [str(path)]
    path.write_text("{ }")
    assert file_states((options, {})) != before
