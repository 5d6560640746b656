"""Folders of images and masks."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from PIL import Image

from superlink.data.readers.mask_folder import read_mask_folder
from superlink.errors import InputError


def _add(folder, name, mask, size=(10, 8), mode="L"):
    for kind in ("images", "masks"):
        (folder / kind).mkdir(exist_ok=True)
    Image.new("RGB", size).save(folder / "images" / f"{name}.jpg")
    Image.fromarray(mask).convert(mode).save(folder / "masks" / f"{name}.png")


def _mask(value=255):
    mask = np.zeros((8, 10), np.uint8)
    mask[2:5, 1:7] = value
    return mask


def _read(folder, **options):
    return read_mask_folder(folder / "images", folder / "masks", **options)


@pytest.mark.parametrize("mode", ["L", "RGB", "1"])
def test_read_mask_folder_yields_one_object(tmp_path, mode):
    _add(tmp_path, "a", _mask(), mode=mode)
    _add(tmp_path, "b", np.zeros((8, 10), np.uint8), mode=mode)
    dataset = _read(tmp_path, name="camouflaged object")
    first, second = dataset
    (item,) = first.objects
    assert item.name == "camouflaged object" and first.categories == ("camouflaged object",)
    assert item.bbox == (1, 2, 7, 5) and (item.mask == (_mask() > 0)).all()
    assert first.open().size == (10, 8) and first.key == "a"
    assert second.objects == () and second.categories == first.categories
    assert pickle.loads(pickle.dumps(dataset))[0].key == "a"


def test_pixels_belong_to_the_object_from_128_on(tmp_path):
    mask = _mask()
    mask[2, 1:7] = 127
    mask[3, 1:7] = 128
    _add(tmp_path, "a", mask)
    assert _read(tmp_path)[0].objects[0].bbox == (1, 3, 7, 5)


def test_mask_of_another_size_is_a_problem(tmp_path):
    _add(tmp_path, "a", _mask())
    _add(tmp_path, "b", _mask(), size=(10, 9))
    with pytest.raises(InputError, match=r"image b\.jpg in .*: its mask has another size"):
        _read(tmp_path)
    dataset = _read(tmp_path, broken="skip")
    assert [record.key for record in dataset] == ["a"]
    assert dataset.problems.reasons() == {"its mask has another size": 1}


def test_file_that_is_no_image_is_a_problem(tmp_path):
    _add(tmp_path, "a", _mask())
    _add(tmp_path, "b", _mask())
    (tmp_path / "masks" / "b.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"b\.png' cannot be read"):
        _read(tmp_path)
    assert len(_read(tmp_path, broken="skip")) == 1


def test_mask_that_is_cut_short(tmp_path):
    _add(tmp_path, "a", np.random.default_rng(0).integers(0, 256, (8, 10), np.uint8))
    path = tmp_path / "masks" / "a.png"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match=r"a\.png"):
        _read(tmp_path)[0]


def test_mask_of_zeros_and_ones_is_refused(tmp_path):
    _add(tmp_path, "a", _mask(1))
    with pytest.raises(InputError, match=r"brighter than 127\. Received: 1 at most in .*a\.png"):
        _read(tmp_path)[0]
