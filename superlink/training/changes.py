"""What has changed between two recipes, or anything else of plain types, key by key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["changes"]

_MOST = 8
"""Changes that are told; more say nothing."""
_MISSING = object()


def changes(before: Any, now: Any) -> str:
    """Each key that differs, as `stages.0.steps was 100 and is 200`.

    Args:
        before: Mappings, lists and plain values.
        now: The same of today.

    Returns:
        Nothing where both are the same, up to the order of keys.
    """
    found = _changes("", before, now)
    more = [f"{len(found) - _MOST} more"] if len(found) > _MOST else []
    return ", ".join(found[:_MOST] + more)


def _changes(path: str, before: Any, now: Any) -> list[str]:
    one, other = _entries(before), _entries(now)
    if one is None or other is None or type(before) is not type(now):
        told = before != now or type(before) is not type(now)
        return [f"{path} was {_shown(before)} and is {_shown(now)}"] if told else []
    return [
        change
        for key in {**one, **other}
        for change in _changes(
            f"{path}.{key}".lstrip("."), one.get(key, _MISSING), other.get(key, _MISSING)
        )
    ]


def _entries(value: Any) -> dict[Any, Any] | None:
    if isinstance(value, Mapping):
        return {**value}
    return dict(enumerate(value)) if isinstance(value, list | tuple) else None


def _shown(value: Any) -> str:
    return "missing" if value is _MISSING else repr(value)
