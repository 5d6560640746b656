"""Folders of images and label maps."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from PIL import Image

from superlink.data.readers.semantic_folder import read_classes, read_semantic_folder
from superlink.errors import ConfigError, InputError

ADE = """Idx\tRatio\tTrain\tVal\tName
1\t0.15\t11664\t1172\twall
2\t0.11\t6046\t612\tscreen door, screen
3\t0.08\t8265\t796\tsky, heaven
4\t0.08\t8265\t796\tscreen, silver screen
"""
CLASSES = ("wall", "tree", "sky")


def _labels(dtype=np.uint8):
    labels = np.zeros((8, 10), dtype)
    labels[:, 2:5] = 1
    labels[:, 5:] = 3
    return labels


def _read(folder, labels=None, size=(10, 8), **options):
    (folder / "images").mkdir()
    (folder / "maps").mkdir()
    Image.new("RGB", size).save(folder / "images" / "a.jpg")
    image = (
        labels
        if isinstance(labels, Image.Image)
        else Image.fromarray(_labels() if labels is None else labels)
    )
    image.save(folder / "maps" / "a.png")
    options = {"classes": CLASSES, **options}
    return read_semantic_folder(folder / "images", folder / "maps", **options)


def test_read_semantic_folder_has_an_object_for_each_class(tmp_path):
    dataset = _read(tmp_path)
    (record,) = dataset
    assert [item.name for item in record.objects] == ["wall", "sky"]
    assert record.categories == CLASSES and record.size == (10, 8)
    wall, sky = (item.mask for item in record.objects)
    assert (wall == (_labels() == 1)).all() and (sky == (_labels() == 3)).all()
    assert record.objects[0].bbox == (2, 0, 5, 8)
    assert (record.void == (_labels() == 0)).all()
    assert record.open().size == (10, 8)
    assert pickle.loads(pickle.dumps(dataset))[0].key == "a"


@pytest.mark.parametrize("form", ["palette", "wide"])
def test_maps_may_have_a_palette_or_16_bits(tmp_path, form):
    if form == "wide":
        labels = _labels(np.uint16)
    else:
        labels = Image.fromarray(_labels()).convert("P", palette=Image.Palette.WEB)
        labels.putdata(_labels().flatten().tolist())
    (record,) = _read(tmp_path, labels)
    assert [item.name for item in record.objects] == ["wall", "sky"]


def test_labels_of_another_protocol(tmp_path):
    labels = _labels()
    labels[labels == 0] = 255
    labels[labels == 1] = 0
    labels[labels == 3] = 2
    (record,) = _read(tmp_path, labels, ignore=255, first=0)
    assert [item.name for item in record.objects] == ["wall", "sky"]
    assert record.void[:, :2].all() and not record.void[:, 2:].any()


def test_without_ignored_pixels(tmp_path):
    (record,) = _read(tmp_path, np.full((8, 10), 2, np.uint8), ignore=None)
    assert record.void is None and [item.name for item in record.objects] == ["tree"]


def test_label_beyond_the_classes_is_refused(tmp_path):
    labels = _labels()
    labels[0, 0] = 4
    with pytest.raises(InputError, match=r"from 1 to 3 .* Received: 4 in .*a\.png"):
        _read(tmp_path, labels)[0]


def test_map_of_another_size_than_the_image_is_refused(tmp_path):
    record = _read(tmp_path, size=(10, 9))[0]
    with pytest.raises(InputError, match=r"10 x 8 pixels. Received: 10 x 9 in .*a\.jpg"):
        record.open()


def test_map_in_colour_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"one channel of whole numbers.*a\.png"):
        _read(tmp_path, np.zeros((8, 10, 3), np.uint8))[0]


def test_image_without_a_map_is_a_problem(tmp_path):
    _read(tmp_path)
    Image.new("RGB", (3, 3)).save(tmp_path / "images" / "b.jpg")
    folders = tmp_path / "images", tmp_path / "maps"
    with pytest.raises(InputError, match=r"b\.jpg"):
        read_semantic_folder(*folders, classes=CLASSES)
    dataset = read_semantic_folder(*folders, classes=CLASSES, broken="skip")
    assert len(dataset) == 1 and len(dataset.problems) == 1


def test_classes_from_a_list_of_lines(tmp_path):
    (tmp_path / "classes.txt").write_text("wall\n\n door, wooden \nsky\n")
    assert list(read_classes(tmp_path / "classes.txt")) == ["wall", "door, wooden", "sky"]


def test_classes_of_ade20k_have_synonyms(tmp_path):
    (tmp_path / "objectInfo150.txt").write_text(ADE)
    assert read_classes(tmp_path / "objectInfo150.txt") == {
        "wall": (),
        "screen door": (),  # its other word is another class
        "sky": ("heaven",),
        "screen": ("silver screen",),
    }
    (record,) = _read(tmp_path, classes=str(tmp_path / "objectInfo150.txt"))
    assert [item.name for item in record.objects] == ["wall", "sky"]
    assert record.synonyms == {"sky": ("heaven",), "screen": ("silver screen",)}


@pytest.mark.parametrize("classes", [[], ["a", "b", "a"], ["a", " "]])
def test_classes_that_cannot_be_told_apart(classes):
    with pytest.raises(InputError, match="names that differ"):
        read_classes(classes)


@pytest.mark.parametrize("options", [{"ignore": 2}, {"first": -1}])
def test_labels_that_overlap(tmp_path, options):
    with pytest.raises(ConfigError, match="first="):
        read_semantic_folder(tmp_path, tmp_path, classes=CLASSES, **options)
