"""Bytes as people read them."""

from __future__ import annotations

__all__ = ["size_text"]


def size_text(number: int | None) -> str:
    """`1536` as `1.5 KiB`; None is `not known`."""
    if number is None:
        return "not known"
    if number < 1024:
        return f"{number} B"
    value, units = number / 1024, ["KiB", "MiB", "GiB"]
    while value >= 1024 and len(units) > 1:
        value /= 1024
        del units[0]
    return f"{value:.1f} {units[0]}"
