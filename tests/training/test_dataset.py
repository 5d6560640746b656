"""The samples of a stage are a pure function of seed and index."""

from __future__ import annotations

import pickle
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superlink.errors import ConfigError, InputError, PluginError
from superlink.interfaces import Message, Sample
from superlink.registry import default_registry
from superlink.training import DataChoice, StageDataset
from superlink.training.dataset import open_data


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
