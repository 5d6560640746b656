"""Names of keypoints as one asks for them: `L_Knee` is the left knee."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..flipping import mirror_words

__all__ = ["keypoint_words", "word_sides"]

_LETTERS = {"l": "left", "r": "right"}
_ENDS = {"f": "front", "b": "back"}
# leftKnee, LKnee, thumb1
_BORDER = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[^\W\d_])(?=\d)")


def keypoint_words(name: str) -> str:
    """A data set's own name of a keypoint in words, all in lower case.

    `left_knee`, `L_Knee` and `leftKnee` become `left knee`, `L_F_Paw` `left front paw`, `thumb1`
    `thumb 1`, and `Root of tail` `root of tail`.
    """
    words = re.sub(r"[\s_\-.]+", " ", _BORDER.sub(" ", name)).strip().lower().split(" ")
    words = [_LETTERS.get(word, word) for word in words]
    for index in range(1, len(words)):
        if words[index - 1] in _LETTERS.values():
            words[index] = _ENDS.get(words[index], words[index])
    return " ".join(words)


def word_sides(names: Sequence[str]) -> tuple[tuple[str, str], ...] | None:
    """The pairs of `names` that differ in left and right alone, whatever their capitals.

    None where there is no such pair, or where one of a pair is missing: which names trade places in
    a mirror image is not known then.
    """
    known = {name.casefold(): name for name in names}
    pairs: dict[frozenset[str], tuple[str, str]] = {}
    for name in names:
        other = mirror_words(name.casefold())
        if other == name.casefold():
            continue
        if other not in known:
            return None
        pairs.setdefault(frozenset((name, known[other])), (name, known[other]))
    return tuple(pairs.values()) or None
