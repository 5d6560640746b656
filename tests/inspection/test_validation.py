"""Reading every record whole, in this process and in others."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from superlink.data import AnnotatedImage, Dialogue, EditedImage, Problem, SceneDataset
from superlink.errors import ConfigError, InputError, MissingDependencyError
from superlink.inspection.validation import check_records, left_out, reason_of


@pytest.fixture
def records(tmp_path):
    """A whole image, a damaged one, one that is missing, and one of another size."""
    for name in ("whole.png", "other.png"):
        Image.new("RGB", (8, 6)).save(tmp_path / name)
    (tmp_path / "damaged.png").write_bytes((tmp_path / "whole.png").read_bytes()[:40])
    names = ("whole.png", "damaged.png", "gone.png", "other.png")
    sizes = (None, None, None, (9, 6))
    return [
        AnnotatedImage(tmp_path / name, (), ("cat",), name, size=size)
        for name, size in zip(names, sizes, strict=True)
    ]


@pytest.mark.parametrize("workers", [0, 1])
def test_each_broken_image_is_found_with_its_file(records, workers):
    found = list(check_records(records, range(4), workers=workers))
    assert found[0] is None
    assert [Path(finding.file).name for finding in found[1:]] == [r.key for r in records[1:]]
    assert [finding.item for finding in found[1:]] == [
        "record 1 (damaged.png)",
        "record 2 (gone.png)",
        "record 3 (other.png)",
    ]
    assert "8 x 6" in found[3].message


def test_only_what_is_asked_for_is_read(records):
    assert list(check_records(records, [0])) == [None]


def test_images_of_dialogues_are_read(tmp_path):
    turns = (("user", "<image>?"), ("assistant", "yes"))
    (finding,) = check_records([Dialogue(turns, (tmp_path / "gone.png",), "talk")], [0])
    assert (finding.item, Path(finding.file).name) == ("record 0 (talk)", "gone.png")


def test_edited_images_are_read(tmp_path):
    Image.new("RGB", (8, 6)).save(tmp_path / "a.png")
    record = EditedImage(tmp_path / "a.png", "do it", tmp_path / "gone.png", "one")
    (finding,) = check_records([record], [0])
    assert (finding.item, Path(finding.file).name) == ("record 0 (one)", "gone.png")


class Raising(list):
    """Records whose reader raises."""

    def __init__(self, error):
        super().__init__([None])
        self.error = error

    def __getitem__(self, index):
        raise self.error


def test_error_of_a_reader_is_a_finding_whatever_it_is():
    (known,) = check_records(Raising(InputError("bad mask 3")), [0], source="coco:x.json")
    (other,) = check_records(Raising(KeyError("bbox")), [0])
    assert (known.file, known.message) == ("coco:x.json", "bad mask 3")
    assert other.message == "KeyError: 'bbox'"


def test_missing_package_is_no_finding():
    with pytest.raises(MissingDependencyError):
        list(check_records(Raising(MissingDependencyError("pip install x")), [0]))


def test_records_that_cannot_be_sent_to_workers_are_refused():
    records = Raising(InputError("x"))
    records.handle = lambda: None
    with pytest.raises(ConfigError, match="Leave --workers out"):
        list(check_records(records, [0], workers=1))


def test_scenes_are_whole():
    assert list(check_records(SceneDataset(num_scenes=2), range(2))) == [None, None]


def test_what_was_left_out_keeps_its_reason():
    (finding,) = left_out([Problem("x.json", "annotation 17", "its box has no area")])
    assert str(finding) == "annotation 17 in x.json: its box has no area"
    assert finding.reason == "its box has no area"


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        (
            ("No such image file: '/a/b. c.png'. Check the path.", "No such image file: 'x.png'."),
            "no such image file",
        ),
        (
            (
                "'a.png' cannot be read as an image: truncated (3 bytes). Expected a PNG.",
                "'b.png' cannot be read as an image: truncated (12 bytes). Expected a PNG.",
            ),
            "cannot be read as an image: truncated (… bytes)",
        ),
        (
            (
                "The mask of annotation 3 in /data/x.json: it is damaged. Received: 1",
                "The mask of annotation 14 in y/x.json: it is damaged. Received: 2",
            ),
            "the mask of annotation … in …: it is damaged",
        ),
        (("Masks must have the image's shape (8, 9). Received: (1, 1) of 'cat'",), None),
    ],
)
def test_reason_is_the_same_for_the_same_kind(messages, reason):
    reasons = {reason_of(message) for message in messages}
    assert reasons == {reason or "masks must have the image's shape (…, …)"}
