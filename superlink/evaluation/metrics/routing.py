"""Did the LLM call the decoder for what was asked? Counted over the phrases of its routes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from .matching import normalize_phrase

__all__ = ["RoutedPhrase", "RoutingScore"]

RoutedPhrase = tuple[str, str | None, str]
"""A phrase, the class that it means or None, and how it was understood; see `Match`."""


class RoutingScore:
    """Compares what replies routed with the names that should have been routed."""

    def __init__(self) -> None:
        self._num_replies = self._num_exact = 0
        self._num_routed = self._num_expected = self._num_right = 0
        self.unknown: Counter[str] = Counter()
        """How often each phrase occurred that no class has, in normalised form."""
        self.duplicates: Counter[str] = Counter()
        """How often each name was routed again in a reply that had routed it before."""

    def update(self, routed: Iterable[RoutedPhrase], expected: Sequence[str]) -> None:
        """Take in what one reply routed, and the names expected, each in their order."""
        routed = list(routed)
        known = Counter(category for _, category, _ in routed if category is not None)
        unknown = Counter(normalize_phrase(phrase) for phrase, name, _ in routed if name is None)
        self.unknown += unknown
        self.duplicates.update({name: n - 1 for name, n in (known + unknown).items() if n > 1})
        self._num_replies += 1
        self._num_exact += [None if how == "synonym" else c for _, c, how in routed] == [*expected]
        self._num_routed += len(routed)
        self._num_expected += len(expected)
        # As multisets: a name that is routed twice is right once.
        self._num_right += (known & Counter(expected)).total()

    def compute(self) -> dict[str, float]:
        """The metrics over all replies.

        Returns:
            `list_exact`, the share of replies that name all that was expected in its order,
            without synonyms; `routing_recall` and `routing_precision`; `unknown_names` and
            `duplicate_names`, how many of these a reply has on average. Where nothing was routed,
            precision is 1 if nothing was expected, else 0; likewise recall.
        """
        return {
            "list_exact": _share(self._num_exact, self._num_replies, 0),
            "routing_recall": _share(self._num_right, self._num_expected, self._num_routed),
            "routing_precision": _share(self._num_right, self._num_routed, self._num_expected),
            "unknown_names": self.unknown.total() / max(1, self._num_replies),
            "duplicate_names": self.duplicates.total() / max(1, self._num_replies),
        }


def _share(part: int, whole: int, other: int) -> float:
    return part / whole if whole else float(other == 0)
