"""Escaper: control strings that somebody typed become harmless, and come back as they were."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["GUARD", "Escaper"]

GUARD = "\u2060"
"""Word joiner: invisible, and it keeps a control string from being one token."""


class Escaper:
    """Puts a guard behind the first character of each control string.

    Control strings are looked for as if the text had no guards, and also where they overlap: so
    `escape` leaves none of them whole, and `unescape` finds each guard that `escape` put there.

    Args:
        strings: The control strings; single characters are left alone.
    """

    def __init__(self, strings: Iterable[str]) -> None:
        rests: dict[str, list[str]] = {}
        for string in sorted(set(strings), key=len, reverse=True):
            if len(string) > 1 and GUARD not in string:
                rest = "".join(f"{GUARD}*{re.escape(character)}" for character in string[1:])
                rests.setdefault(string[0], []).append(rest)
        whole = "|".join(f"{re.escape(c)}(?={'|'.join(found)})" for c, found in rests.items())
        guarded = "|".join(
            f"{re.escape(c)}{GUARD}(?={'|'.join(found)})" for c, found in rests.items()
        )
        self._whole = re.compile(whole or r"(?!)")
        self._guarded = re.compile(guarded or r"(?!)")

    def escape(self, text: str) -> str:
        """Make every control string in `text` harmless, so that `unescape` gives `text` back."""
        return self._whole.sub(lambda m: m.group() + GUARD, text)

    def unescape(self, text: str) -> str:
        """Undo `escape`; text that was never escaped and has no guards stays as it is."""
        return self._guarded.sub(lambda m: m.group()[0], text)
