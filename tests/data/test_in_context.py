"""Samples of several images, made of any annotated set."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from PIL import Image

from superlink.data import AnnotatedImage, AnnotatedObject, Problems
from superlink.data.in_context import InContextDataset, InContextImages
from superlink.errors import ConfigError, InputError

NAMES = ("cat", "dog", "fox")


def annotated(key, *names, size=(16, 8), empty=(), caption=""):
    """An image in which object i has a mask of 2 x 2 pixels, or an empty one."""
    objects = []
    for place, name in enumerate(names):
        mask = np.zeros(size[::-1], bool)
        mask[1:3, 3 * place : 3 * place + 2] = name not in empty
        objects.append(AnnotatedObject(name, (3 * place, 1, 3 * place + 2, 3), mask))
    image = Image.new("RGB", size, (key * 7 % 256, 50, 50))
    return AnnotatedImage(image, tuple(objects), NAMES, f"i{key}", caption=caption)


SET = [annotated(i, *(("cat", "dog"), ("dog",), ("dog", "dog", "fox"))[i % 3]) for i in range(12)]


def test_examples_show_the_class_of_the_query_and_are_other_images():
    dataset = InContextDataset(SET, max_examples=3, draws=4)
    assert len(dataset) == 48
    counts = set()
    for index in range(48):
        record = dataset[index]
        assert record.query is SET[index % 12]
        assert len({image.key for image in record.images}) == len(record.images)
        for image in record.images:
            assert any(item.name == record.name for item in image.objects)
        counts.add(len(record.examples))
    assert counts == {1, 2, 3}


def test_seed_and_index_decide_alone():
    def drawn(dataset, index):
        record = dataset[index]
        return record.name, [image.key for image in record.images]

    one, same = (InContextDataset(SET, draws=2) for _ in range(2))
    every = [drawn(one, index) for index in range(24)]
    assert every == [drawn(pickle.loads(pickle.dumps(same)), index) for index in range(24)]
    assert every[:12] != every[12:]
    assert every[:12] != [drawn(InContextDataset(SET, seed=1), index) for index in range(12)]
    assert len({one[index].key for index in range(24)}) == 24


def test_class_of_too_few_images_is_never_asked_for():
    images = [annotated(0, "cat", "fox"), annotated(1, "cat"), annotated(2, "fox", "cat")]
    names = {record.name for record in InContextDataset(images, min_examples=2, draws=9)}
    assert names == {"cat"}
    with pytest.raises(InputError, match="3 other images"):
        InContextDataset(images, min_examples=3)


def test_same_picture_under_two_keys_is_no_example_of_itself():
    images = [annotated(i, "cat") for i in (0, 0, 1, 1)]
    for record in InContextDataset(images, draws=5):
        assert [image.image == record.query.image for image in record.examples] == [False]


def test_empty_masks_show_nothing():
    images = [annotated(0, "cat"), annotated(1, "cat"), annotated(2, "cat", empty=("cat",))]
    dataset = InContextDataset(images, draws=5)
    assert {image.key for record in dataset for image in record.images} == {"i0", "i1"}
    with pytest.raises(InputError, match="nothing to show in"):
        InContextImages((images[2],), images[0], "one", name="cat")


def test_set_that_knows_its_classes_is_not_read_to_be_opened():
    class Known(list):
        problems = Problems()

        def classes_of(self, index):
            return {item.name for item in list.__getitem__(self, index).objects}, set(), set()

        def __getitem__(self, index):
            raise AssertionError("read")

    assert len(InContextDataset(Known(SET))) == 12


class Undecoded(list):
    """Tells classes as a file of annotations does, which does not decode masks."""

    problems = Problems()

    def classes_of(self, index):
        return {item.name for item in self[index].objects}, set(), set()


def test_empty_masks_never_leave_fewer_than_the_fewest_examples():
    hollow = [annotated(i, "cat", empty=("cat",)) for i in range(30)]
    solid = [annotated(30 + i, "cat") for i in range(4)]
    dataset = InContextDataset(Undecoded(hollow + solid), min_examples=3, max_examples=3, draws=3)
    for index in (i for i in range(len(dataset)) if i % 34 >= 30):
        assert len(dataset[index].examples) == 3
    with pytest.raises(InputError, match=r"3 other images.*once its masks were decoded"):
        dataset[0]


def test_another_class_is_asked_for_where_the_masks_of_one_are_empty():
    images = [annotated(i, "cat", "dog", empty=("cat",)) for i in range(4)]
    images.append(annotated(9, "cat", "dog"))
    dataset = InContextDataset(Undecoded(images), min_examples=2, draws=5)
    assert {dataset[index].name for index in range(4, 25, 5)} == {"dog"}


def test_text_takes_any_images_that_show_something():
    images = [annotated(i, *names) for i, names in enumerate((["cat"], ["dog"], [], ["fox"]))]
    dataset = InContextDataset(images, "names")
    assert [record.query.key for record in dataset] == ["i0", "i1", "i3"]
    captioned = [annotated(i, caption=caption) for i, caption in enumerate(("a", "", "b"))]
    dataset = InContextDataset(captioned, "captions")
    assert [[image.key for image in r.images] for r in dataset] == [["i2", "i0"], ["i0", "i2"]]


def test_record_that_cannot_be_read_follows_the_policy_of_its_set():
    class Broken(list):
        def __init__(self, policy):
            super().__init__(SET)
            self.problems = Problems(policy)

        def __getitem__(self, index):
            if index == 2:
                raise InputError("its file is gone")
            return super().__getitem__(index)

    with pytest.raises(InputError, match="record 2 in Broken: its file is gone"):
        InContextDataset(Broken("error"))
    dataset = InContextDataset(Broken("skip"))
    assert len(dataset) == 11 and len(dataset.problems) == 1


@pytest.mark.parametrize(
    "options",
    [{"min_examples": 0}, {"min_examples": 3, "max_examples": 2}, {"draws": 0}, {"answers": "x"}],
)
def test_impossible_numbers_raise(options):
    with pytest.raises(ConfigError, match="Received"):
        InContextDataset(SET, **options)


def test_record_needs_an_example():
    with pytest.raises(InputError, match="0 examples"):
        InContextImages((), SET[0], "one", name="cat")
