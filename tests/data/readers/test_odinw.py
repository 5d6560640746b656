"""ODinW: a folder of sets, joined, each under its name."""

from __future__ import annotations

import json
import pickle

import pytest
from PIL import Image

from superlink.data.readers.odinw import read_odinw
from superlink.errors import InputError

FILE = "annotations_without_background.json"


def _add(folder, place, *, prefix="", num_images=2, **changes):
    """Write a set's file of annotations and its images below `place`."""
    (folder / place).mkdir(parents=True, exist_ok=True)
    names = [f"{number}.jpg" for number in range(num_images)]
    for name in names:
        Image.new("RGB", (10, 8)).save(folder / place / name)
    images = [
        {"id": number, "file_name": name, "width": 10, "height": 8}
        for number, name in enumerate(names)
    ]
    entry = {"id": 1, "image_id": 0, "category_id": 1, "bbox": [1, 2, 4, 3], **changes}
    categories = [{"id": 1, "name": f"thing of {place}"}]
    content = {"images": images, "annotations": [entry], "categories": categories}
    (folder / place / f"{prefix}{FILE}").write_text(json.dumps(content))


@pytest.fixture
def folder(tmp_path):
    _add(tmp_path, "Packages/Raw/valid")
    _add(tmp_path, "Packages/Raw/train", num_images=1)
    _add(tmp_path, "EgoHands/generic/valid", num_images=1)
    _add(tmp_path, "EgoHands/specific/valid", num_images=1)
    _add(tmp_path, "pistols/export", prefix="val_")
    _add(tmp_path, "pistols/export", prefix="train_")
    _add(tmp_path, "pothole/valid", prefix="new_")  # not the file that is looked for
    return tmp_path


def test_sets_are_joined_under_their_names(folder):
    dataset = pickle.loads(pickle.dumps(read_odinw(folder)))
    names = ["EgoHands/generic", "EgoHands/specific", "Packages", "pistols"]
    assert list(dataset.sets) == names
    records = list(dataset)
    assert [record.dataset for record in records] == [*names[:3], "Packages", *["pistols"] * 2]
    assert [record.key for record in records[2:4]] == ["Packages/0.jpg", "Packages/1.jpg"]
    assert records[2].categories == ("thing of Packages/Raw/valid",)
    assert records[2].objects[0].bbox == (1, 2, 5, 5)
    assert all(record.open().size == (10, 8) for record in records)
    assert dataset[-1].key == "pistols/1.jpg"


@pytest.mark.parametrize(
    ("sets", "names"),
    [
        (["pistols", "Packages"], ["Packages", "pistols"]),
        (["EgoHands/generic"], ["EgoHands/generic"]),
        (["EgoHands"], ["EgoHands/generic", "EgoHands/specific"]),
        (["Packages/Raw/"], ["Packages"]),
        ("pistols", ["pistols"]),
    ],
)
def test_sets_are_chosen_by_name(folder, sets, names):
    assert list(read_odinw(folder, sets=sets).sets) == names


def test_another_split(folder):
    dataset = read_odinw(folder, split="train")
    assert {name: len(found) for name, found in dataset.sets.items()} == {
        "Packages": 1,
        "pistols": 2,
    }


def test_folder_of_one_set_is_called_after_it(folder):
    assert list(read_odinw(folder / "Packages" / "Raw").sets) == ["Raw"]


def test_unknown_set_names_the_choices(folder):
    with pytest.raises(
        InputError, match=r"sets of ODinW: EgoHand, pothole\. Choose from EgoHands/"
    ):
        read_odinw(folder, sets=["pothole", "EgoHand", "pistols"])


def test_folder_without_sets(folder):
    with pytest.raises(InputError, match=f"SET/test/{FILE}.*none of them"):
        read_odinw(folder, split="test")
    with pytest.raises(InputError, match="No such folder"):
        read_odinw(folder / "gone")


def test_broken_set_is_raised_or_its_problems_are_counted(folder):
    _add(folder, "pistols/export", prefix="val_", bbox=[1])
    with pytest.raises(InputError, match=rf"annotations\[0\] in .*pistols/export/val_{FILE}"):
        read_odinw(folder)
    dataset = read_odinw(folder, broken="skip")
    # Nothing is known any more of the image of the only class.
    assert len(dataset) == 5 and len(dataset.problems) == 2


def test_masks_are_decoded_when_asked(folder):
    _add(folder, "a/valid", segmentation={"size": [8, 10], "counts": [10, 3, 67]})
    assert read_odinw(folder, sets=["a"], masks=True)[0].objects[0].mask.sum() == 3
    assert read_odinw(folder, sets=["a"])[0].objects[0].mask is None
