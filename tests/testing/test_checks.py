"""How checks are run and reported."""

from __future__ import annotations

import pytest

from superlink.testing.checks import Check, NotApplicable, docs_of, run_checks


def passes(subject):
    """Stops nothing."""
    return f"saw {subject}"


def fails(subject):
    """Stops everything."""
    raise AssertionError(f"Expected more. Received: {subject}")


def breaks(subject):
    """Stops a code that raises."""
    raise KeyError("x")


def skips(subject):
    """Stops what is not there."""
    raise NotApplicable("nothing to see")


def checks(*runs, basic=()):
    return [Check(run.__name__, "topic", run, f"cure {run.__name__}", run in basic) for run in runs]


def test_results_tell_what_was_measured_or_what_is_wrong_and_its_cure():
    told = []
    results = run_checks(checks(passes, fails, breaks, skips), 7, on_result=told.append)
    assert told == results
    assert [(r.name, r.status, r.detail, r.cure) for r in results] == [
        ("passes", "passed", "saw 7", ""),
        ("fails", "failed", "Expected more. Received: 7", "cure fails"),
        ("breaks", "failed", "KeyError: 'x'", "cure breaks"),
        ("skips", "skipped", "nothing to see", ""),
    ]
    assert results[0].to_json()["topic"] == "topic"


@pytest.mark.parametrize("expected", [None, {"fails": "as it is"}])
def test_failure_of_a_basic_check_skips_the_rest(expected):
    results = run_checks(
        checks(passes, fails, passes, basic=[fails]), 0, expected_failed_checks=expected
    )
    assert [r.status for r in results] == [
        "passed",
        "expected" if expected else "failed",
        "skipped",
    ]
    assert results[2].detail == "fails failed"


def test_expected_failure_gives_its_reason_and_an_unexpected_pass_is_a_pass():
    expected = {"fails": "as it is", "passes": "never"}
    results = run_checks(checks(passes, fails), 0, expected_failed_checks=expected)
    assert [(r.status, r.detail) for r in results] == [
        ("passed", "saw 0"),
        ("expected", "as it is"),
    ]


def test_docs_say_which_fault_a_check_stops():
    assert docs_of(checks(passes, fails)) == {
        "passes": "Stops nothing.",
        "fails": "Stops everything.",
    }
