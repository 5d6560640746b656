"""Annotated images refuse what does not hold together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from superlink.data import AnnotatedImage, AnnotatedObject, CaptionedImage, EditedImage
from superlink.errors import InputError

CAT = AnnotatedObject("cat", (1, 1, 3, 3))


def _image(*objects, image=None, categories=("cat", "dog")):
    return AnnotatedImage(image or Image.new("RGB", (6, 4)), objects, categories, "one")


@pytest.mark.parametrize("bbox", [(3, 0, 3, 1), (0, 2, 1, 1), (0, 0, float("nan"), 1)])
def test_object_with_an_invalid_box(bbox):
    with pytest.raises(InputError, match="x1 < x2"):
        AnnotatedObject("cat", bbox)


def test_object_without_a_name():
    with pytest.raises(InputError, match="name"):
        AnnotatedObject(" ", (0, 0, 1, 1))


def test_object_with_a_mask_of_another_kind():
    with pytest.raises(InputError, match=r"bool array \(H, W\)"):
        AnnotatedObject("cat", (0, 0, 1, 1), mask=np.zeros((4, 6), np.uint8))


def test_object_with_keypoints_of_another_shape():
    with pytest.raises(InputError, match=r"\(K, 3\)"):
        AnnotatedObject("cat", (0, 0, 1, 1), keypoints=np.zeros((17, 2), np.float32))


def test_image_with_an_unknown_name_tells_the_file():
    with pytest.raises(InputError, match=r"'cat'.*pictures/one\.jpg"):
        _image(CAT, image=Path("pictures/one.jpg"), categories=("dog",))


def test_image_with_doubled_categories():
    with pytest.raises(InputError, match="differ"):
        _image(categories=("dog", "dog"))


def test_image_with_a_box_outside():
    with pytest.raises(InputError, match=r"inside.*record 'one'"):
        _image(AnnotatedObject("cat", (1, 1, 7, 3)))


def test_image_with_a_mask_of_another_size():
    with pytest.raises(InputError, match=r"\(4, 6\).*record 'one'"):
        _image(AnnotatedObject("cat", (1, 1, 3, 3), mask=np.zeros((6, 4), np.bool_)))


def test_image_is_read_from_its_file(tmp_path):
    Image.new("L", (6, 4)).save(tmp_path / "a.png")
    record = _image(CAT, image=tmp_path / "a.png")
    assert (record.open().mode, record.open().size) == ("RGB", (6, 4))


def test_image_without_objects_is_fine():
    assert _image().objects == ()


def test_captioned_image_knows_all_its_captions_and_refuses_blank_ones():
    image = Image.new("RGB", (6, 4))
    parts = (("a cat", (CAT,)), (" on a mat", ()))
    record = CaptionedImage(image, parts, "one", other_captions=("a grey cat",))
    assert record.captions == ("a cat on a mat", "a grey cat")
    with pytest.raises(InputError, match="caption must say something"):
        CaptionedImage(image, parts, "one", other_captions=(" ",))


def test_edited_image_refuses_changes_of_another_size():
    image = Image.new("RGB", (6, 4))
    EditedImage(image, "do it", image, "one", changed=np.zeros((4, 6), np.bool_))
    with pytest.raises(InputError, match=r"shape \(4, 6\)"):
        EditedImage(image, "do it", image, "one", changed=np.zeros((6, 4), np.bool_))
