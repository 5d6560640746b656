"""The nearest valid name, for errors about a name that is not known."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["suggest"]


def suggest(name: str, choices: Iterable[str]) -> str:
    """The end of an error message: the nearest of `choices`, and all of them.

    Args:
        name: What was asked for.
        choices: What would have been valid.

    Returns:
        `Did you mean 'lr'? Choose from: lr, steps.`, without the question where nothing is near.
    """
    names = sorted(choices)
    near = [one for one in names if name in one.split("_")] or get_close_matches(name, names, n=1)
    question = f"Did you mean {near[0]!r}? " if near else ""
    return f"{question}Choose from: {', '.join(names) or 'nothing, there is none'}."
