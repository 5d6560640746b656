"""What detection reads, as examples and queries."""

from __future__ import annotations

import pytest

from superlink.data.readers.in_context import read_mask_examples, read_text_examples
from superlink.errors import ConfigError


def test_scenes_become_examples():
    dataset = read_mask_examples("scenes", num_scenes=6, size=48, max_examples=2, seed=3)
    record = dataset[0]
    assert record.answers == "masks" and record.query.size is None
    assert all(image.key.startswith("scenes/train") for image in record.images)
    assert read_text_examples("scenes", num_scenes=3, size=32)[0].answers == "names"
    captions = read_text_examples("scenes", answers="captions", num_scenes=3, size=32)
    assert captions[1].answers == "captions"


def test_images_of_coco_come_with_masks(coco_mini):
    options = {"annotations": coco_mini / "instances_train.json", "images": coco_mini / "images"}
    dataset = read_mask_examples("coco", **options, broken="skip")
    for record in dataset:
        found = [item for image in record.images for item in image.objects]
        assert any(item.name == record.name and item.mask is not None for item in found)
    (bare, *_) = read_mask_examples("coco", **options, masks=False)
    assert all(item.mask is None for item in bare.query.objects)


def test_reader_may_be_anybodys():
    path = "superlink.data.scenes:read_scenes"
    assert len(read_text_examples(path, num_scenes=3, size=32)) == 3


@pytest.mark.parametrize(
    ("reader", "options", "reason"),
    [
        ("cocoa", {}, "what detection reads"),
        ("scenes", {"sise": 3}, "'scenes' cannot take these options"),
        ("coco", {}, "'coco' cannot take these options"),
    ],
)
def test_what_cannot_be_opened_raises(reader, options, reason):
    with pytest.raises(ConfigError, match=reason):
        read_mask_examples(reader, **options)


def test_masks_are_no_text():
    with pytest.raises(ConfigError, match="'names' or 'captions'"):
        read_text_examples("scenes", answers="masks")
