"""Pictures of icons are what their captions say, and validation shows new combinations."""

from __future__ import annotations

import numpy as np
import pytest

from superlink.data.icons import COLOURS, OBJECTS, caption_of, icon_pairs, read_icons
from superlink.errors import ConfigError


def test_validation_has_the_pairs_that_training_lacks_and_seen_those_that_it_has():
    train, val = set(icon_pairs("train")), set(icon_pairs("val"))
    assert not train & val
    assert len(train | val) == len(OBJECTS) * len(COLOURS) and len(val) == len(OBJECTS)
    assert icon_pairs("seen") == icon_pairs("train")
    for split, pairs in (("train", train), ("val", val), ("seen", train)):
        shown = [read_icons(split).shown(i) for i in range(400)]
        assert {(item.object, item.colour) for item in shown} == pairs


@pytest.mark.parametrize(
    ("said", "caption"),
    [
        (("apple", "red", 2, "left"), "two red apples on the left"),
        (("fish", "blue", 1, "top"), "a blue fish at the top"),
        (("fish", "blue", 3, "bottom"), "three blue fish at the bottom"),
        (("heart", "orange", 1, "middle"), "an orange heart in the middle"),
        (("butterfly", "red", 2, "right"), "two red butterflies on the right"),
        (("key", "green", None, "right"), "green keys on the right"),
        (("tree", "purple", 1, None), "a purple tree"),
    ],
)
def test_captions_are_plain_english(said, caption):
    names = ("object", "colour", "count", "position")
    known = {n: v for n, v in zip(names, said, strict=True) if v is not None}
    assert caption_of(known) == caption


def test_attributes_are_what_the_caption_says_of_what_is_shown():
    data = read_icons(num_images=300, vague=0.5)
    vague = 0
    for index in range(300):
        record, shown = data[index], vars(data.shown(index))
        assert record.attributes.items() <= shown.items()
        assert caption_of(record.attributes) == record.caption
        vague += len(record.attributes) < 4
        assert {"object", "colour"} <= record.attributes.keys() and len(record.attributes) >= 3
        assert "count" in record.attributes or shown["count"] > 1
    assert 110 < vague < 190
    assert all(len(record.attributes) == 4 for record in read_icons("val", 50, vague=1.0)[:])


def test_split_seed_and_index_decide_all():
    first, again = read_icons(num_images=3), read_icons(num_images=9)
    for index in (2, 0, 1):
        a, b = first[index], again[index]
        assert (a.key, a.caption) == (b.key, b.caption)
        assert np.array_equal(np.asarray(a.image), np.asarray(b.image))
    keys = {r.key for s in ("train", "seen") for seed in (0, 1) for r in read_icons(s, 5, seed)[:]}
    assert len(keys) == 20
    pictures = {r.open().tobytes() for s in ("train", "seen") for r in read_icons(s, 50)[:]}
    assert len(pictures) == 100


def test_pictures_have_the_size_that_is_asked_and_a_white_edge():
    for size in (32, 48, 97):
        image = np.asarray(read_icons(num_images=1, size=size)[0].open())
        assert image.shape == (size, size, 3)
        assert (image == 255).all(axis=2).mean() > 0.4


@pytest.mark.parametrize(
    "options",
    [{"split": "test"}, {"num_images": 0}, {"seed": -1}, {"size": 31}, {"vague": 1.1}],
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ConfigError, match=str(next(iter(options)))):
        read_icons(**options)
