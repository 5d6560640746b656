"""Counting what is in records of each kind."""

from __future__ import annotations

import numpy as np
from PIL import Image

from superlink.data import (
    AnnotatedImage,
    AnnotatedObject,
    CaptionedImage,
    CountedImage,
    Dialogue,
    EditedImage,
    ReferringImage,
)
from superlink.inspection.counts import count_records, rows_of

WHITE = Image.new("RGB", (200, 100), "white")
CAT, DOG = "cat", "dog"


def box(name, side, **more):
    return AnnotatedObject(name, (0, 0, side, side), **more)


def counted(*records):
    return count_records(records, range(len(records)))


def test_annotated_images():
    objects = (
        box(CAT, 10, mask=np.ones((100, 200), np.bool_), area=10.0),
        box(CAT, 50, keypoints=np.ones((3, 3), np.float32)),
        box(DOG, 100),
    )
    crowd = (box(DOG, 20),)
    found = counted(
        AnnotatedImage(WHITE, objects, (CAT, DOG, "bird"), "a", "two cats", ignored=crowd),
        AnnotatedImage(WHITE, (), (CAT, DOG), "b", void=np.ones((100, 200), np.bool_)),
    )
    assert found.records == 2
    assert found.classes == {CAT: 2, DOG: 1, "bird": 0}
    wanted = {"images": 2, "objects": 3, "without_objects": 1, "ignored": 1, "masks": 1}
    wanted |= {"keypoints": 1, "small": 1, "medium": 1, "large": 1, "captions": 1, "with_void": 1}
    assert {key: found.numbers[key] for key in wanted} == wanted
    assert found.to_json()["objects_per_record"] == {"min": 0, "median": 1.5, "max": 3}
    assert found.to_json()["image_width"] == {"min": 200, "median": 200, "max": 200}


def test_area_of_an_object_is_stated_or_of_its_mask_or_of_its_box():
    mask = np.zeros((100, 200), np.bool_)
    mask[:40, :40] = True
    stated, masked, bare = box(CAT, 99, area=5.0), box(CAT, 99, mask=mask), box(CAT, 99)
    found = counted(AnnotatedImage(WHITE, (stated, masked, bare), (CAT,), "a"))
    assert [found.numbers[size] for size in ("small", "medium", "large")] == [1, 1, 1]


def test_file_of_several_expressions_is_one_image(tmp_path):
    path = tmp_path / "a.png"
    records = [ReferringImage(path, words, (), words, size=(20, 10)) for words in ("left", "right")]
    found = counted(*records)
    assert (found.numbers["images"], found.numbers["expressions"]) == (1, 2)
    assert not path.exists()  # nothing is opened


def test_counted_images_and_dialogues():
    found = counted(
        CountedImage(WHITE, CAT, 12, "a"),
        Dialogue((("user", "<image> what?"), ("assistant", "a cat")), (WHITE,), "b"),
        Dialogue((("user", "hi"), ("assistant", "hello")), (), "c"),
    )
    assert found.classes == {CAT: 12}
    assert (found.numbers["counted"], found.numbers["turns"]) == (12, 4)
    assert found.numbers["without_images"] == 1


def test_records_of_another_kind_are_counted():
    assert counted(("apple", "dog")).to_json() == {"records": 1, "classes": {}, "broken": []}


def test_record_that_cannot_be_read_is_named_and_the_others_counted():
    class Records(list):
        def __getitem__(self, index):
            if index == 1:
                raise ValueError("bad run lengths")
            return super().__getitem__(index)

    whole = AnnotatedImage(WHITE, (), (CAT,), "a")
    found = count_records(Records([whole] * 3), range(3), "coco:x.json")
    assert found.records == 2
    (broken,) = found.broken
    assert str(broken) == "record 1 in coco:x.json: ValueError: bad run lengths"
    assert dict(rows_of(found))["records that cannot be read"] == "1"


def test_rows_leave_out_what_the_records_cannot_have():
    names = dict(rows_of(counted(AnnotatedImage(WHITE, (box(CAT, 9),), (CAT, DOG), "a"))))
    assert names["object sizes"] == "1 small, 0 medium, 0 large"
    assert names["classes"] == "2, 1 of them with objects"
    assert not {"expressions", "turns", "things counted", "objects with a mask"} & set(names)


def test_captions_of_whole_images_have_no_objects_to_count():
    found = counted(CaptionedImage(WHITE, (("a cat", ()),), "a", other_captions=("a grey cat",)))
    assert dict(rows_of(found)) == {
        "records": "1",
        "images": "1",
        "captions": "2",
        "image width": "200 to 200, median 200",
        "image height": "100 to 100, median 100",
    }


def test_edits_have_two_images_each(tmp_path):
    found = counted(
        EditedImage(WHITE, "remove the cat", WHITE, "a"),
        EditedImage(tmp_path / "a.png", "add a cat", tmp_path / "b.png", "b"),
    )
    assert (found.numbers["edits"], found.numbers["images"]) == (2, 4)
