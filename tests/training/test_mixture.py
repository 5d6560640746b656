"""Mixtures: weights hold, every set goes through its records, and nothing depends on the length."""

from __future__ import annotations

import pickle
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superlink.errors import ConfigError
from superlink.interfaces import Message, Sample
from superlink.training.mixture import Mixture


def conversation(record, rng, training):
    """A sample that tells its record and its draw."""
    return Sample((Message("user", f"{record} {rng.random()}"),), key=str(record))


def mixture(weights, num_samples, seed=0, size=5):
    sources = [
        ([f"{name}{i}" for i in range(size)], conversation) for name in "abc"[: len(weights)]
    ]
    return Mixture(sources, weights, num_samples, seed)


def texts(data):
    return [data[i].messages[0].text for i in range(len(data))]


def test_weights_are_shares():
    counts = Counter(text[0] for text in texts(mixture((3, 1, 0.5), 4500)))
    assert counts["a"] == pytest.approx(3000, rel=0.05)
    assert counts["b"] == pytest.approx(1000, rel=0.1)
    assert counts["c"] == pytest.approx(500, rel=0.15)


@given(st.integers(1, 60), st.integers(0, 30), st.integers(0, 2**20))
def test_longer_stage_begins_as_a_shorter_one(short, more, seed):
    weights = (1, 2)
    assert texts(mixture(weights, short + more, seed))[:short] == texts(
        mixture(weights, short, seed)
    )


def test_every_set_covers_its_records_before_one_comes_again():
    taken = [text.split()[0] for text in texts(mixture((1, 1), 40)) if text[0] == "b"]
    for first in range(0, len(taken) - 4, 5):
        assert len(set(taken[first : first + 5])) == 5


def test_sets_draw_apart_and_seeds_differ():
    draws = [text.split()[1] for text in texts(mixture((1, 1), 60))]
    assert len(set(draws)) == 60
    assert texts(mixture((1, 1), 60)) != texts(mixture((1, 1), 60, seed=1))


def test_mixture_goes_to_spawned_workers():
    data = mixture((1, 2), 30)
    first = texts(data)
    assert texts(pickle.loads(pickle.dumps(data))) == first


@pytest.mark.parametrize("weights", [(), (1.0, 0.0), (1.0, -1.0)])
def test_weights_that_are_not_positive_are_refused(weights):
    with pytest.raises(ConfigError, match="positive weight"):
        mixture(weights, 3)


def test_index_beyond_the_stage():
    with pytest.raises(IndexError):
        mixture((1, 1), 3)[3]
