"""Checks of a task decoder in fresh processes: what it imports, whom it calls, and how it trains
beside a process without its task."""

from __future__ import annotations

from .checks import Check, NotApplicable, expect
from .decoder_case import DecoderCase
from .decoder_processes import TIME_LIMIT

__all__ = ["ISOLATION_CHECKS"]


def _light(case: DecoderCase) -> str:
    """Stops a plugin that costs every user of superlink the import of its library."""
    if not case.plugins:
        raise NotApplicable("no installed distribution declares it")
    declared = _first(case, "declared")
    heavy = declared["heavy"]
    expect(not heavy, "a declaration that imports neither decoder nor library", heavy)
    return f"{declared['seconds']:.2f} s"


def _offline(case: DecoderCase) -> str:
    """Stops a decoder that cannot be built and trained without the network."""
    attempts = _first(case, "attempts")
    expect(not attempts, "no connection", f"some to {sorted(set(attempts))}")
    return "no connection"


def _idle(case: DecoderCase) -> str:
    """Stops a training on several devices that waits forever where one has no call of the
    decoder."""
    apart = case.apart
    if not apart.notes[0].get("together", True):
        raise NotApplicable("this system cannot fork, or torch has no gloo here")
    for rank, notes in enumerate(apart.notes):
        what = "a call" if rank == 0 else "dummy_call() alone"
        for key, fault in (("missing", "no gradient"), ("infinite", "no finite gradient")):
            names = notes.get(key, [])
            expect(not names, f"gradients with {what}", f"{fault} of {names[:3]}")
    expect(not apart.hung, f"a step of two processes in {TIME_LIMIT:.0f} s", "none: they hang")
    ended = [notes.get("done") for notes in apart.notes]
    expect(all(ended), "two processes that end well", "\n".join(filter(None, apart.errors)))
    shared = [notes.get("shared") for notes in apart.notes]
    expect(all(shared), "gradients of both processes, added up", shared)
    return "2 processes"


def _first(case: DecoderCase, key: str) -> dict[str, list[str]]:
    """What the first process found."""
    notes = case.apart.notes[0]
    if key not in notes:
        raise AssertionError(f"A fresh process did not get that far.\n{case.apart.errors[0]}")
    found: dict[str, list[str]] = notes[key]
    return found


ISOLATION_CHECKS: tuple[Check[DecoderCase], ...] = (
    Check(
        "light",
        "isolation",
        _light,
        "Keep the declaration in a module of its own, with dotted paths instead of imports.",
    ),
    Check(
        "offline",
        "isolation",
        _offline,
        "Take weights from a path in the config, and none by default.",
    ),
    Check(
        "idle",
        "isolation",
        _idle,
        "Give dummy_call() a target that uses every weight, and run no collective in one branch.",
    ),
)
"""All of them share one run of two processes, which takes seconds."""
