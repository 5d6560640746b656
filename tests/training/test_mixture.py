"""Mixtures: weights hold, every set goes through its records, and no layout changes a step."""

from __future__ import annotations

import pickle
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Subset

from superlink.errors import ConfigError, InputError
from superlink.interfaces import Message, Sample
from superlink.training.mixture import Mixture, stage_samples
from superlink.training.recipe import Stage

seeds = st.integers(0, 2**20)


def conversation(record, rng, training):
    """A sample that tells its record and its draw."""
    return Sample((Message("user", f"{record} {rng.random()}"),), key=str(record))


def sources(*sizes):
    names = "abcd"[: len(sizes)]
    return {
        name: ([f"{name}{i}" for i in range(size)], conversation)
        for name, size in zip(names, sizes, strict=True)
    }


def mixture(weights, num_samples, seed=0, size=5, **options):
    return Mixture(sources(*[size] * len(weights)), weights, num_samples, seed, **options)


def stage(data, **fields):
    return Stage(name="s", data=data, **{"steps": 4, "batch_size": 8} | fields)


def text(sample):
    return sample.messages[0].text


def texts(data):
    return [text(data[i]) for i in range(len(data))]


def names(data):
    return [one[0] for one in texts(data)]


def test_weights_are_shares():
    counts = Counter(names(mixture((3, 1, 0.5), 4500)))
    assert counts["a"] == pytest.approx(3000, rel=0.05)
    assert counts["b"] == pytest.approx(1000, rel=0.1)
    assert counts["c"] == pytest.approx(500, rel=0.15)


def test_draws_are_those_that_trained_the_shipped_models():
    """Of NumPy's generator, one for each sample: a change would retrain them to other weights."""
    draws = np.random.default_rng(7).random(12)
    expected = "".join("abc"[int(d >= 0.25) + int(d >= 0.75)] for d in draws)
    assert "".join(names(mixture((1, 2, 1), 12, seed=7))) == expected
    assert (
        mixture((1, 2, 1), 12, seed=7)[0].key.split("#")[1]
        == f"{7 * 3 + 'abc'.index(expected[0])}-0"
    )


@given(st.integers(1, 60), st.integers(0, 30), seeds, st.integers(1, 9))
def test_longer_stage_begins_as_a_shorter_one(short, more, seed, block):
    longer, alone = (
        texts(mixture((1, 2), n, seed, block_size=block)) for n in (short + more, short)
    )
    assert longer[:short] == alone


@given(st.integers(1, 40), seeds, st.integers(1, 9))
def test_each_block_holds_one_data_set(num_samples, seed, block):
    found = names(mixture((1, 2, 1), num_samples, seed, block_size=block))
    for first in range(0, num_samples, block):
        assert len(set(found[first : first + block])) == 1


def test_blocks_are_drawn_by_the_weights_and_apart():
    found = names(mixture((3, 1), 16000, block_size=4))[::4]
    assert found.count("a") / len(found) == pytest.approx(0.75, abs=0.02)
    changes = sum(a != b for a, b in pairwise(found)) / len(found)
    assert changes == pytest.approx(2 * 0.75 * 0.25, abs=0.03)  # as independent draws change


BATCH, STEPS = 16, 3


def forwards_of(ranks, forwards, block, seed):
    """By step, the samples of each forward: each rank has a data set of its own, and reads of it
    the pieces (forward, rank) of a step alone."""
    piece, dealt = BATCH // (ranks * forwards), [[] for _ in range(STEPS)]
    for rank in range(ranks):
        chosen = stage({"a": 1, "b": 2}, steps=STEPS, block_size=block, batch_size=BATCH)
        mine = stage_samples(sources(5, 7), chosen, seed, skip_bad=False)
        for step in range(STEPS):
            for forward in range(forwards):
                first = step * BATCH + (forward * ranks + rank) * piece
                dealt[step].append([text(mine[first + i]) for i in range(piece)])
    return dealt


@given(st.sampled_from([1, 2, 4]), st.sampled_from([1, 2, 4]), st.sampled_from([1, 3]), seeds)
def test_any_layout_gives_a_step_the_same_samples(ranks, forwards, block, seed):
    whole = forwards_of(1, 1, block, seed)
    for dealt, [step] in zip(forwards_of(ranks, forwards, block, seed), whole, strict=True):
        assert Counter(one for forward in dealt for one in forward) == Counter(step)


@given(st.sampled_from([1, 2, 4]), st.sampled_from([1, 2, 4]), seeds)
def test_blocks_as_large_as_a_forward_make_each_hold_one_data_set(ranks, forwards, seed):
    for step in forwards_of(ranks, forwards, BATCH // (ranks * forwards), seed):
        assert all(len({one[0] for one in forward}) == 1 for forward in step)


@pytest.mark.parametrize("num_workers", [1, 2])
def test_workers_change_no_batch(num_workers):
    data = mixture((1, 2), 24, block_size=2)
    for rank in range(2):  # of two, each with half of each step
        mine = Subset(data, [i for i in range(24) if i // 4 % 2 == rank])
        loaded = list(DataLoader(mine, 4, num_workers=num_workers, collate_fn=list))
        assert [text(s) for batch in loaded for s in batch] == texts(mine)


def test_every_set_covers_its_records_before_one_comes_again():
    taken = [one.split()[0] for one in texts(mixture((1, 1), 40, block_size=4)) if one[0] == "b"]
    assert len(taken) > 5
    for first in range(0, len(taken) - 4, 5):
        assert len(set(taken[first : first + 5])) == 5


def test_sets_draw_apart_and_seeds_differ():
    draws = [one.split()[1] for one in texts(mixture((1, 1), 60))]
    assert len(set(draws)) == 60
    assert texts(mixture((1, 1), 60)) != texts(mixture((1, 1), 60, seed=1))


@given(st.integers(0, 40), seeds)
def test_epochs_count_passes_over_each_set(num_samples, seed):
    data = stage_samples(sources(4, 8), stage(["a", "b"], steps=5), seed, skip_bad=False)
    counts = Counter(names(data)[:num_samples])
    assert data.epochs(num_samples) == {"a": counts["a"] / 4, "b": counts["b"] / 8}


def test_mixture_goes_to_spawned_workers():
    data = mixture((1, 2), 30)
    first = texts(data)
    assert texts(pickle.loads(pickle.dumps(data))) == first


def shares(data, sizes=(9, 3, 1), **fields):
    found = names(
        stage_samples(sources(*sizes), stage(data, steps=800, **fields), 0, skip_bad=False)
    )
    return [found.count(name) / len(found) for name in "abc"[: len(sizes)]]


def test_list_is_weighed_by_size():
    assert shares(["a", "b", "c"]) == pytest.approx([9 / 13, 3 / 13, 1 / 13], abs=0.02)


def test_temperature_evens_weights_out():
    by_root = [3 / (4 + 3**0.5), 3**0.5 / (4 + 3**0.5), 1 / (4 + 3**0.5)]
    assert shares(["a", "b", "c"], temperature=2) == pytest.approx(by_root, abs=0.02)
    assert shares({"a": 9, "b": 3, "c": 1}, temperature=2) == shares(["a", "b", "c"], temperature=2)
    assert shares(["a", "b", "c"], temperature=1e6) == pytest.approx([1 / 3] * 3, abs=0.02)
    assert shares(["a", "b", "c"], temperature=0.1)[0] > 0.999


def test_stage_of_one_set_is_that_set():
    alone = stage_samples(sources(5, 5), stage("b"), 3, skip_bad=False)
    assert texts(alone) == texts(stage_samples(sources(5, 5), stage(["b"]), 3, skip_bad=False))
    assert len(alone) == 32 and set(names(alone)) == {"b"}
    assert alone.epochs(10) == {"b": 2.0}


def test_set_without_records_is_named():
    with pytest.raises(InputError, match="data set 'b' that found no records"):
        stage_samples(sources(2, 0), stage(["a", "b"]), 0, skip_bad=False)


@pytest.mark.parametrize("weights", [(), (1.0, 0.0), (1.0, -1.0)])
def test_weights_that_are_not_positive_are_refused(weights):
    with pytest.raises(ConfigError, match="positive weight"):
        mixture(weights, 3)


def test_index_beyond_the_stage():
    with pytest.raises(IndexError):
        mixture((1, 1), 3)[3]
