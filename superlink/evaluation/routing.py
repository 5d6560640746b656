"""Did the LLM call the decoder for what was asked? Counted over the phrases of its routes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

__all__ = ["RoutingScore", "normalize_phrase"]


def normalize_phrase(phrase: str) -> str:
    """The form in which phrases and names are compared: lower case, single spaces."""
    return " ".join(phrase.lower().split())


class RoutingScore:
    """Compares the phrases of replies with the names that should have been routed."""

    def __init__(self) -> None:
        self._num_replies = self._num_exact = 0
        self._num_routed = self._num_expected = self._num_right = 0

    def update(self, phrases: Iterable[str], names: Sequence[str]) -> None:
        """Take in the phrases of one reply in their order, and the names expected in theirs."""
        routed = [normalize_phrase(phrase) for phrase in phrases]
        expected = [normalize_phrase(name) for name in names]
        self._num_replies += 1
        self._num_exact += routed == expected
        self._num_routed += len(routed)
        self._num_expected += len(expected)
        # As multisets: a name that is routed twice is right once.
        self._num_right += (Counter(routed) & Counter(expected)).total()

    def compute(self) -> dict[str, float]:
        """`list_exact`, `routing_recall` and `routing_precision`.

        Where nothing was routed, precision is 1 if nothing was expected, else 0; likewise recall.
        """
        return {
            "list_exact": _share(self._num_exact, self._num_replies, 0),
            "routing_recall": _share(self._num_right, self._num_expected, self._num_routed),
            "routing_precision": _share(self._num_right, self._num_routed, self._num_expected),
        }


def _share(part: int, whole: int, other: int) -> float:
    return part / whole if whole else float(other == 0)
