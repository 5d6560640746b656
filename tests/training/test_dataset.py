"""The samples of a stage are a pure function of seed and index."""

from __future__ import annotations

import math
import pickle
import random
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader

from superlink.data import AnnotatedImage, AnnotatedObject
from superlink.data.records import Records
from superlink.errors import ConfigError, InputError, PluginError
from superlink.interfaces import Message, Sample
from superlink.registry import default_registry
from superlink.tasks.detection import detection_conversation
from superlink.testing.models import toy_model
from superlink.training import DataChoice, StageDataset
from superlink.training.dataset import from_worker, open_data


def conversation(record, rng, training):
    """A sample that tells its record and its draw."""
    assert training
    return Sample((Message("user", f"{record} {rng.random()}"),), key=str(record))


def samples(num_records, num_samples, seed):
    data = StageDataset(range(num_records), conversation, num_samples, seed)
    return [sample.messages[0].text for sample in data]


sizes = st.integers(1, 12)
seeds = st.integers(0, 2**31)


@given(sizes, st.integers(1, 40), seeds)
def test_two_instances_agree_in_any_order_of_access(num_records, num_samples, seed):
    first = samples(num_records, num_samples, seed)
    second = StageDataset(range(num_records), conversation, num_samples, seed)
    order = list(range(num_samples))
    random.Random(0).shuffle(order)
    assert all(second[i].messages[0].text == first[i] for i in order)


@given(sizes, st.integers(1, 4), seeds)
def test_each_epoch_covers_every_record_once(num_records, num_epochs, seed):
    keys = [int(text.split()[0]) for text in samples(num_records, num_records * num_epochs, seed)]
    for epoch in range(num_epochs):
        part = keys[epoch * num_records : (epoch + 1) * num_records]
        assert sorted(part) == list(range(num_records))


@given(st.integers(1, 20), st.integers(1, 20), seeds)
def test_length_of_a_stage_changes_no_sample(short, longer, seed):
    assert samples(5, short + longer, seed)[:short] == samples(5, short, seed)


def test_epochs_and_seeds_differ_in_order_and_draws():
    first = samples(20, 40, 0)
    orders = [[text.split()[0] for text in part] for part in (first[:20], first[20:])]
    assert orders[0] != orders[1]
    assert len({text.split()[1] for text in first}) == 40
    assert samples(20, 40, 1) != first


def test_samples_go_to_spawned_workers():
    data = StageDataset(range(5), conversation, 20, 0)
    first = [sample.messages[0].text for sample in data]
    again = pickle.loads(pickle.dumps(data))
    assert [again[i].messages[0].text for i in range(20)] == first


def annotated(
    name="dog", bbox=(1.0, 1.0, 9.0, 9.0), size=None, image=None, key="photo 7", **fields
):
    image = image or Image.new("RGB", (40, 30))
    item = AnnotatedObject(name, bbox, **fields)
    return AnnotatedImage(image, (item,), (name, "cat"), key, size=size)


BROKEN = [
    ({"bbox": (1.0, math.nan, 9.0, 9.0)}, r"Record 0 .*all finite.*nan.*'dog'"),
    ({"bbox": (5.0, 1.0, 5.0, 9.0)}, r"Record 1 .*x1 < x2.*5\.0.*'dog'"),
    ({"bbox": (5.0, 1.0, 99.0, 9.0)}, r"Record 2 .*inside of the image.*photo 7"),
    ({"name": " "}, r"Record 3 .*needs a name"),
    ({"name": "a <|end|>"}, r"cannot hold a special token.*key='photo 7#"),
    ({"size": (30, 40)}, r"Record 5 .*of an image of 30 x 40.*40 x 30 in record 'photo 7'"),
    ({"image": Path("no such file.png")}, r"Record 6 .*no such file\.png"),
    ({"mask": np.ones((30, 30), np.bool_)}, r"Record 7 .*Masks must have.*'dog' in .*photo 7"),
    ({"key": "no target"}, r"one target for each call.*key='no target#"),
    ({}, ""),
]


class Careless(Records):
    """A reader that finds out what is wrong with a record when it makes it."""

    def __len__(self):
        return len(BROKEN)

    def record(self, index):
        return annotated(**BROKEN[index][0])


def forgetful(record, rng, training):
    """A conversation that loses the targets of some of its records."""
    sample = detection_conversation(record, rng, training, token="[BOX]")
    return replace(sample, targets=()) if record.key == "no target" else sample


def test_what_is_broken_arrives_as_a_typed_error_from_a_worker():
    data = StageDataset(Careless(), forgetful, len(BROKEN), 0)
    loader = DataLoader(data, batch_size=1, num_workers=1, collate_fn=toy_model().processor)
    batches, errors, whole = iter(loader), [], 0
    for _ in BROKEN:
        try:
            whole += len(next(batches)["calls"])
        except InputError as error:
            errors.append(str(error))
    assert whole == 1 and len(errors) == len(BROKEN) - 1
    plain = [str(from_worker(InputError(error))) for error in errors]
    assert not any("Traceback" in text or "worker" in text for text in plain)
    for _, message in BROKEN[:-1]:
        assert sum(bool(re.search(message, error, re.DOTALL)) for error in plain) == 1, message


def test_error_that_no_worker_raised_stays_itself():
    error = InputError("plain")
    assert from_worker(error) is error


def test_index_outside_of_the_stage():
    data = StageDataset(range(3), conversation, 4, 0)
    for index in (4, -1):
        with pytest.raises(IndexError):
            data[index]


def test_reader_without_records():
    with pytest.raises(InputError, match="found no records"):
        StageDataset([], conversation, 4, 0)


def choice(**changes):
    return DataChoice(**{"task": "detection", "format": "scenes", **changes})


def test_open_data_takes_options_of_reader_and_conversation():
    options = {"num_scenes": 2, "size": 64}
    records, talk = open_data(
        choice(options=options, conversation={"open_questions": 1.0}), default_registry()
    )
    assert len(records) == 2
    sample = talk(records[0], random.Random(0), True)
    assert "," not in sample.messages[0].text  # an open question lists no classes


def test_format_may_be_a_path_to_a_reader():
    path = "superlink.data.scenes:read_scenes"
    records, _ = open_data(choice(format=path, options={"num_scenes": 3}), default_registry())
    assert len(records) == 3


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"task": "detecton"}, PluginError, "Did you mean 'detection'"),
        (
            {"format": "cocoo"},
            ConfigError,
            r"reads \['coco', .*'scenes'.*format='cocoo'",
        ),
        ({"format": "no_such_module:read"}, PluginError, "no_such_module"),
        ({"options": {"num_scene": 3}}, ConfigError, r"reader 'scenes'.*Did you mean 'num_scenes'"),
        ({"format": "coco"}, ConfigError, "reader 'coco'.*missing a required argument"),
        ({"conversation": {"varietyy": 1}}, ConfigError, "conversation.*Did you mean 'variety'"),
    ],
)
def test_open_data_refuses_what_does_not_fit(changes, error, message):
    with pytest.raises(error, match=message):
        open_data(choice(**changes), default_registry())
