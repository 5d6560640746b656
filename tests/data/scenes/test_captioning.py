"""Captions of scenes: each phrase names its objects, and says what holds of them."""

from __future__ import annotations

import pytest

from superlink.data import AnnotatedObject, read_scene_captions
from superlink.data.scenes.captioning import caption_parts
from superlink.errors import ConfigError


def _item(name, left, size="medium"):
    return AnnotatedObject(name, (left, 0, left + 10, 10), attributes={"size": size})


def _text(parts):
    return "".join(text for text, _ in parts)


def test_objects_of_one_name_make_one_phrase_from_left_to_right():
    dogs, apple = (_item("dog", 5), _item("dog", 80)), _item("apple", 40)
    parts = caption_parts([apple, dogs[1], dogs[0]])
    assert parts == (("two dogs", dogs), (" and ", ()), ("an apple", (apple,)))
    assert _text(caption_parts([*dogs, apple, _item("cat", 90)])) == "two dogs, an apple and a cat"
    assert _text(caption_parts([apple])) == "an apple"


@pytest.mark.parametrize(
    ("sizes", "text"),
    [
        (("small", "small"), "two small dogs"),
        (("large", "small"), "a large dog and a small dog"),
        (("small", "medium"), "two dogs"),
        (("medium", "medium"), "two dogs"),
    ],
)
def test_sizes_are_told_where_they_hold_of_all(sizes, text):
    dogs = [_item("dog", 20 * i, size) for i, size in enumerate(sizes)]
    assert _text(caption_parts(dogs, sized=True)) == text
    assert _text(caption_parts(dogs)) == "two dogs"


def test_scene_captions_name_every_object_once():
    captions = read_scene_captions(num_scenes=60, size=64)
    records = list(captions)
    for record, scene in zip(records, captions.scenes, strict=True):
        assert {item.bbox for item in record.objects} == {item.bbox for item in scene.objects}
        assert record.caption and record.key == scene.key
        for text, objects in record.parts:
            for word in ("small", "large"):
                if word in text:
                    assert all(item.attributes["size"] == word for item in objects)
    again = read_scene_captions(num_scenes=60, size=64)
    assert [record.caption for record in again] == [record.caption for record in records]


@pytest.mark.parametrize(("attributes", "least", "most"), [(0.0, 0, 0), (0.5, 10, 60)])
def test_share_of_captions_that_tell_sizes(attributes, least, most):
    captions = [
        r.caption for r in read_scene_captions(num_scenes=80, size=64, attributes=attributes)
    ]
    told = sum("small" in text or "large" in text for text in captions)
    assert least <= told <= most


def test_captions_of_landscapes():
    record = read_scene_captions(num_scenes=1, size=64, background="landscape")[0]
    assert "landscape" in record.key and record.objects


def test_share_outside_of_its_range_is_refused():
    with pytest.raises(ConfigError, match=r"attributes=1\.5"):
        read_scene_captions(attributes=1.5)
