"""Samples to measure: the same each time, read ahead or not, broken ones named."""

from __future__ import annotations

from functools import partial

import pytest

from superlink.errors import ConfigError, InputError
from superlink.evaluation.samples import TaskSamples, read_batches
from superlink.interfaces import Message, Sample


def _converse(record, rng, training, broken=()):
    if record in broken:
        raise InputError(f"record {record} is broken")
    return Sample((Message("user", f"{record} {rng.random()} {training}"),), key=str(record))


def _texts(samples):
    return [sample.messages[0].text for sample in samples]


def test_samples_are_the_same_each_time_and_differ_by_seed():
    first, again = (TaskSamples(range(4), _converse) for _ in range(2))
    assert _texts(first) == _texts(again) == _texts(first[0:4])
    assert first[-1] == first[3]
    assert _texts(TaskSamples(range(4), _converse, seed=1)) != _texts(first)
    assert all(text.endswith("False") for text in _texts(first))


def test_limit_takes_the_first():
    assert len(TaskSamples(range(9), _converse, limit=3)) == 3
    assert len(TaskSamples(range(2), _converse, limit=3)) == 2
    with pytest.raises(IndexError):
        TaskSamples(range(9), _converse, limit=3)[3]


def test_reader_without_records_is_refused():
    with pytest.raises(InputError, match="nothing to measure"):
        TaskSamples([], _converse)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_read_in_the_order_asked_for(workers):
    samples = TaskSamples(range(7), partial(_converse, broken=(5,)))
    last, first = read_batches(samples, 3, [1, 0], workers)
    assert [s if isinstance(s, str) else s.key for s in last] == ["3", "4", "record 5 is broken"]
    assert [sample.key for sample in first] == ["0", "1", "2"]
    assert _texts(first) == _texts(samples[0:3])


def test_last_batch_is_shorter():
    (batch,) = read_batches(TaskSamples(range(7), _converse), 3, [2], 0)
    assert [sample.key for sample in batch] == ["6"]


def test_negative_workers_are_refused():
    with pytest.raises(ConfigError, match="workers"):
        read_batches(TaskSamples(range(7), _converse), 3, [0], -1)


def _draw(record, rng, training):
    messages = (Message("user", f"draw {record}"), Message("assistant", "Here[GEN]."))
    return Sample(messages, targets=({"images": (record,)},), key=str(record))


@pytest.mark.parametrize("number", [2, 3, 50])
def test_shuffled_samples_have_the_messages_of_others_and_their_own_targets(number):
    plain = TaskSamples(range(number), _draw)
    shuffled = TaskSamples(range(number), _draw, shuffled=True)
    assert [sample.targets for sample in shuffled] == [sample.targets for sample in plain]
    assert [sample.key for sample in shuffled] == [sample.key for sample in plain]
    assert sorted(_texts(shuffled)) == sorted(_texts(plain))
    pairs = zip(_texts(shuffled), _texts(plain), strict=True)
    assert all(one != other for one, other in pairs)
    assert _texts(shuffled) == _texts(TaskSamples(range(number), _draw, shuffled=True))


def test_what_cannot_be_shuffled_is_refused():
    with pytest.raises(InputError, match="one sample alone"):
        TaskSamples(range(9), _draw, limit=1, shuffled=True)
    boxes = Sample((Message("user", "?"),), targets=({"bboxes": ()},), key="one")
    with pytest.raises(InputError, match="answered with pictures"):
        TaskSamples(range(2), lambda *_: boxes, shuffled=True)[0]
