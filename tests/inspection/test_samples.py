"""Opening a set to look at it, and samples of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from superlink.data import AnnotatedImage, Problems
from superlink.inspection.opening import open_set
from superlink.inspection.samples import choose_samples
from superlink.registry import default_registry
from superlink.training import DataChoice


class Records(list):
    """Records with problems."""

    def __init__(self, records, problems):
        super().__init__(records)
        self.problems = problems


def read_pictures(folder, broken="error", masks=False):
    """A reader: a whole picture, one that is not there, and an item that is broken or without an
    area."""
    Image.new("RGB", (8, 6)).save(Path(folder) / "whole.png")
    problems = Problems(broken)
    problems.add("notes", "annotation 1", "its box has no area", harmless=True)
    if masks:
        problems.add("notes", "annotation 2", "it names no category")
    names = ("whole.png", "gone.png")
    return Records(
        [AnnotatedImage(Path(folder) / name, (), ("cat",), name) for name in names], problems
    )


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """Opens the pictures with options."""
    monkeypatch.setattr("superlink.data.read_pictures", read_pictures, raising=False)

    def open_pictures(**options):
        options = {"folder": str(tmp_path), **options}
        choice = DataChoice(
            task="detection", format="superlink.data:read_pictures", options=options
        )
        return open_set(choice, default_registry(), {"broken": "skip", "unknown": 3})

    return open_pictures


def test_defaults_are_given_where_the_reader_has_them(opened):
    assert opened().choice.options["broken"] == "skip"
    assert opened(broken="error").choice.options["broken"] == "error"
    assert "unknown" not in opened().choice.options


def test_what_was_left_out_says_whether_it_is_harmless(opened):
    assert [finding.harmless for finding in opened().left_out] == [True]
    assert [finding.harmless for finding in opened(masks=True).left_out] == [True, False]


def test_sample_that_cannot_be_made_says_why(opened):
    whole, gone = choose_samples(opened(), range(2), 5, seed=0)
    assert whole.heading == "0: whole.png"
    assert [speaker for speaker, _ in whole.lines()] == ["user", "assistant", "target"]
    assert (gone.heading, gone.sample) == ("1", None)
    assert "gone.png" in dict(gone.lines())["cannot be made"]
    assert "gone.png" in gone.annotated().note
    assert "gone.png" in gone.to_json()["cannot_be_made"]


def test_samples_depend_on_the_seed_alone():
    choice = DataChoice(task="detection", format="scenes", options={"num_scenes": 50})
    scenes = open_set(choice, default_registry(), {})

    def texts(seed):
        return [one.to_json() for one in choose_samples(scenes, range(50), 3, seed)]

    assert texts(0) == texts(0) != texts(1)
    assert len({one["record"] for one in texts(0)}) == 3


def test_first_records_are_taken():
    choice = DataChoice(task="detection", format="scenes", options={"num_scenes": 5})
    scenes = open_set(choice, default_registry(), {})
    assert [len(scenes.indices(limit)) for limit in (None, 3, 9)] == [5, 3, 5]
