"""The statistics that the benchmarks report; what they measure is not timed here."""

from __future__ import annotations

import gc
import importlib
import itertools
import json
import random
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "benchmarks"


@pytest.fixture
def pairs(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module("pairs")


@pytest.mark.parametrize(
    ("number", "rank"), [(6, 1), (9, 2), (20, 6), (40, 14), (100, 40)]
)  # of the lower end, counted from 1; from tables of the sign test at 5 %, two-sided
def test_interval_ends_are_those_of_the_sign_test(pairs, number, rank):
    values = [float(value) for value in range(1, number + 1)]
    random.Random(0).shuffle(values)
    found = pairs.median_interval(values)
    assert (found.low, found.high) == (rank, number + 1 - rank)
    assert found.median == (number + 1) / 2


def test_interval_covers_the_true_median_as_often_as_it_says(pairs):
    rng = random.Random(1)
    runs = [[rng.lognormvariate(0, 1) for _ in range(20)] for _ in range(1000)]
    found = [pairs.median_interval(run) for run in runs]
    covered = sum(one.low <= 1.0 <= one.high for one in found) / len(found)
    assert 0.945 <= covered <= 0.975  # 0.959 is exact for 20 values


def test_interval_of_too_few_values_raises(pairs):
    with pytest.raises(ValueError, match=r"needs more pairs\. Received: 5 values"):
        pairs.median_interval([1.0] * 5)


def test_ratio_compares_within_pairs(pairs):
    """A machine that is ten times slower in some pairs changes nothing."""
    slowness = [1.0, 10.0] * 5
    whole, half = [3.0 * s for s in slowness], [1.0 * s for s in slowness]
    assert pairs.ratio([whole], [half, half]) == pairs.Ratio(1.5, 1.5, 1.5)


def test_ratio_of_different_numbers_of_pairs_raises(pairs):
    with pytest.raises(ValueError):
        pairs.ratio([[1.0] * 8], [[1.0] * 7])


def test_parts_take_turns_on_the_same_indices(pairs):
    seen = {"a": [], "b": [], "c": []}
    order = []

    def part(name):
        def run(index):
            seen[name].append(index)
            order.append(name)

        return run

    pairs.take_turns({name: part(name) for name in seen}, 8, warm_up=2)
    assert seen["a"] == seen["b"] == seen["c"] == [6, 7, *range(8)]
    rounds = [tuple(order[i : i + 3]) for i in range(0, len(order), 3)]
    assert all(set(one) == set(seen) for one in rounds)
    assert len(set(rounds)) > 1  # none always runs behind the same other one


def test_warm_up_is_not_timed(pairs):
    ticks = itertools.count()
    seconds = pairs.take_turns({"a": lambda index: None}, 6, warm_up=3, clock=lambda: next(ticks))
    assert seconds == {"a": [1] * 6}
    assert next(ticks) == 2 * (6 + 3)


def test_garbage_is_collected_again_after_a_part_fails(pairs):
    def broken(index):
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        pairs.take_turns({"a": broken}, 6)
    assert gc.isenabled() and gc.get_freeze_count() == 0


def test_report_is_written_with_what_made_it(pairs, tmp_path, capsys):
    seconds = {"a": [0.001] * 6, "b": [0.002] * 6}
    ratios = {"b / a": pairs.ratio([seconds["b"]], [seconds["a"]])}
    report = pairs.Report("name", "command", seconds, ratios, {"rows": 4})
    report.show(tmp_path / "report.json")
    written = json.loads((tmp_path / "report.json").read_text())
    assert written["ratios"] == {"b / a": {"median": 2.0, "low": 2.0, "high": 2.0}}
    assert written["median_ms"] == {"a": 1.0, "b": 2.0}
    assert (written["pairs"], written["facts"]) == (6, {"rows": 4})
    assert written["versions"]["torch"] and written["hardware"]["cores"]
    assert "2.000 [2.000, 2.000]" in capsys.readouterr().out


@pytest.mark.parametrize("number", ["5", "0", "-20"])
def test_too_few_pairs_are_refused_on_the_command_line(pairs, number, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["script", f"--pairs={number}"])
    with pytest.raises(SystemExit):
        pairs.arguments("What is measured.")
    assert f"at least 6, for an interval. Received: {number}" in capsys.readouterr().err
