"""Questions in parts: each names its own classes, and one reply comes back for each sample."""

from __future__ import annotations

import random

import pytest
from PIL import Image

from superlink.data import AnnotatedImage, AnnotatedObject
from superlink.errors import ConfigError, InputError
from superlink.interfaces import IMAGE, REGION, Message, Region, Reply, Sample
from superlink.tasks.chunks import Chunks, target_names
from superlink.tasks.detection import detection_conversation

CATEGORIES = tuple("ape bee cat dog eel fox gnu".split())


@pytest.fixture
def sample():
    objects = (AnnotatedObject("dog", (0, 0, 2, 3)),)
    record = AnnotatedImage(Image.new("RGB", (16, 8)), objects, CATEGORIES, "one")
    return detection_conversation(record, random.Random(0), False, absent_classes="all")


def test_each_part_asks_and_answers_for_its_own_classes(sample):
    parts = Chunks(3).split(sample, target_names(sample))
    assert [[message.text for message in part.messages] for part in parts] == [
        ["Find: ape, bee, cat", "<p>ape</p>[DET], <p>bee</p>[DET], <p>cat</p>[DET]"],
        ["Find: dog, eel, fox", "<p>dog</p>[DET], <p>eel</p>[DET], <p>fox</p>[DET]"],
        ["Find: gnu", "<p>gnu</p>[DET]"],
    ]
    for part in parts:
        assert part.messages[0].parts[0] is IMAGE
        assert (part.images, part.geometries, part.key) == (sample.images, sample.geometries, "one")


def test_class_that_looks_like_a_token_is_parted_like_any_other():
    names = ("ape", "[DET]", "cat")
    record = AnnotatedImage(Image.new("RGB", (16, 8)), (), names, "one")
    whole = detection_conversation(record, random.Random(0), False, absent_classes="all")
    parts = Chunks(2).split(whole, names)
    assert [part.messages[0].text for part in parts] == ["Find: ape, [DET]", "Find: cat"]
    assert ", ".join(part.messages[1].text for part in parts) == whole.messages[1].text


def test_question_without_an_answer_is_split_too(sample):
    asked = Sample(sample.messages[:1], sample.images)
    parts = Chunks(4).split(asked, CATEGORIES)
    assert [part.messages[0].text for part in parts] == [
        "Find: ape, bee, cat, dog",
        "Find: eel, fox, gnu",
    ]


def test_earlier_turns_stay(sample):
    earlier = (Message("user", "Find: ape, bee"), Message("assistant", "<p>ape</p>[DET]"))
    whole = Sample((*earlier, *sample.messages), sample.images)
    for part in Chunks(5).split(whole, CATEGORIES):
        assert part.messages[:2] == earlier
        assert len(part.messages) == 4


def test_list_that_fits_is_asked_as_it_is(sample):
    assert Chunks(7).split(sample, CATEGORIES) == [sample]


@pytest.mark.parametrize(
    "messages",
    [
        (Message("user", "What is here?"),),
        (Message("user", "Find: ape, bee, cat. Really: ape, bee, cat"),),
        (Message("user", "Find: ape, bee, cat"), Message("assistant", "<p>ape</p>[DET]")),
        (Message("user", ("Find: ape, b", "ee, cat")),),
    ],
)
def test_words_without_the_list_are_refused(messages):
    with pytest.raises(InputError, match=r"hold it once.*key='mine'.*classes_per_reply"):
        Chunks(2).split(Sample(messages, key="mine"), ("ape", "bee", "cat"))


def test_question_about_regions_is_shown_with_its_marks_and_not_parted():
    parts = ("Segment: ", REGION, ", ", REGION, ", ", REGION)
    answer = "<p>region 1</p>[GRD], <p>region 2</p>[GRD], <p>region 3</p>[GRD]"
    image, regions = Image.new("RGB", (16, 8)), (Region.box(1, 1, 5, 5),) * 3
    messages = (Message("user", (IMAGE, *parts)), Message("assistant", answer))
    sample = Sample(messages, (image,), key="mine", regions=regions)
    names = ["region 1", "region 2", "region 3"]
    with pytest.raises(InputError, match=r"Segment: <region>, <region>, <region>'.*max_regions=2"):
        Chunks(2).split(sample, names)
    assert Chunks(3).split(sample, names) == [sample]


def test_regions_of_earlier_turns_stay_with_each_part(sample):
    image, region = sample.images[0], Region.box(1, 1, 5, 5)
    earlier = (Message("user", (IMAGE, "what is ", REGION)), Message("assistant", "an ape"))
    whole = Sample((*earlier, *sample.messages), (image, *sample.images), regions=(region,))
    parts = Chunks(3).split(whole, CATEGORIES)
    assert len(parts) == 3
    assert all(len(part.regions) == 1 and part.messages[:2] == earlier for part in parts)


@pytest.mark.parametrize("options", [(0,), (2.5,), (None,), (2, 0)])
def test_numbers_below_one_are_refused(options):
    with pytest.raises(ConfigError, match="whole number from 1 on"):
        Chunks(*options)


def test_parts_of_all_samples_share_batches_and_come_back_to_their_own():
    samples = [Sample((Message("user", text),)) for text in ("a, b, c", "d", "e, f")]
    batches = []

    def answer(some):
        batches.append([sample.messages[0].text for sample in some])
        return [Reply(text.upper(), text.upper()) for text in batches[-1]]

    names = [sample.messages[0].text.split(", ") for sample in samples]
    replies = Chunks(1).answer(answer, samples, names, batch_size=2)
    assert batches == [["a", "b"], ["c", "d"], ["e", "f"]]
    assert [reply.text for reply in replies] == ["A, B, C", "D", "E, F"]
