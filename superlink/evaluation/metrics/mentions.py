"""Which things a text names, in any number, and whether they are the right ones."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from ...errors import InputError

__all__ = ["Mentions", "mention_metrics"]


class Mentions:
    """Finds names in a text as whole words, whatever their case; the longest name wins.

    Args:
        forms: Name to how a text may write it: `{"person": ("person", "people")}`.
    """

    def __init__(self, forms: Mapping[str, Iterable[str]]) -> None:
        self._names = {form.lower(): name for name, some in forms.items() for form in some}
        longest = sorted(self._names, key=len, reverse=True)
        self._words = re.compile(
            rf"\b(?:{'|'.join(map(re.escape, longest))})\b" if longest else "(?!)"
        )

    def find(self, text: str) -> list[str]:
        """The names in `text`, each once, in alphabetical order."""
        return sorted({self._names[word] for word in self._words.findall(text.lower())})


def mention_metrics(
    found: Sequence[Sequence[str]], expected: Sequence[Sequence[str]]
) -> dict[str, float]:
    """How well texts name what is there.

    Args:
        found: For each text the names in it.
        expected: For each the names that it should have.

    Returns:
        `objects_exact`, the share of texts that name exactly what they should; `objects_recall`,
        the share of all expected names that are found; `objects_precision`, the share of all found
        names that are expected, 0 where none is found.

    Raises:
        InputError: There are no texts, or no names are expected of them.
    """
    if not any(expected) or len(found) != len(expected):
        raise InputError(
            "Names in texts are measured against expected ones of the same texts. "
            f"Received: {len(found)} texts, {sum(map(len, expected))} expected names"
        )
    pairs = [(set(one), set(other)) for one, other in zip(found, expected, strict=True)]
    shared = sum(len(one & other) for one, other in pairs)
    return {
        "objects_exact": sum(one == other for one, other in pairs) / len(pairs),
        "objects_recall": shared / sum(len(other) for _, other in pairs),
        "objects_precision": shared / max(1, sum(len(one) for one, _ in pairs)),
    }
