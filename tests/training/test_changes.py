"""What is told of two recipes that differ."""

from __future__ import annotations

from superlink.training.changes import changes


def test_each_key_that_differs_is_told_with_both_values():
    before = {"seed": 0, "stages": [{"steps": 10, "ema": None}, {"steps": 2}], "data": {"a": 1}}
    now = {"seed": 0, "stages": [{"steps": 20, "ema": 0.9}], "data": {"a": 1, "b": {"c": 2}}}
    assert changes(before, now) == (
        "stages.0.steps was 10 and is 20, stages.0.ema was None and is 0.9, "
        "stages.1 was {'steps': 2} and is missing, data.b was missing and is {'c': 2}"
    )


def test_same_up_to_the_order_of_keys_has_no_change():
    assert changes({"a": 1, "b": [1, 2]}, {"b": [1, 2], "a": 1}) == ""
    assert changes({"a": [1, 2]}, {"a": [2, 1]}) != ""
    assert changes({"a": True}, {"a": 1}) != ""


def test_long_lists_of_changes_are_cut():
    text = changes(dict.fromkeys(range(12), 0), dict.fromkeys(range(12), 1))
    assert text.endswith("7 was 0 and is 1, 4 more")
