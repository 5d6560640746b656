"""The words of the built-in scenes: captions, sizes and positions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

__all__ = [
    "count_phrase",
    "describe_names",
    "plural",
    "position_word",
    "separators",
    "size_word",
]

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_PLURALS = {"butterfly": "butterflies", "fish": "fish", "person": "people"}
_POSITIONS = (
    ("top left", "top", "top right"),
    ("left", "middle", "right"),
    ("bottom left", "bottom", "bottom right"),
)


def describe_names(names: Sequence[str]) -> str:
    """A caption that counts: `a picture of two dogs and an apple`, in the order of the names."""
    counts = Counter(names)
    if not counts:
        return "a picture of nothing in particular"
    phrases = [count_phrase(name, count) for name, count in counts.items()]
    between = separators(len(phrases))
    listed = "".join(a + b for a, b in zip(phrases, between, strict=True))
    return f"a picture of {listed}"


def separators(count: int) -> tuple[str, ...]:
    """What follows each of `count` phrases of a list: `a, b and c`."""
    return (*([", "] * (count - 2)), *([" and "] if count > 1 else []), "")


def count_phrase(name: str, count: int, adjective: str = "") -> str:
    """How many there are of what: `an apple`, `two small dogs`."""
    qualified = f"{adjective} " if adjective else ""
    if count == 1:
        return f"{'an' if (qualified or name)[0] in 'aeiou' else 'a'} {qualified}{name}"
    number = _NUMBERS[count] if count < len(_NUMBERS) else str(count)
    return f"{number} {qualified}{plural(name)}"


def plural(name: str) -> str:
    """Several of what: `apples`, `buses`, `people`."""
    regular = name + ("es" if name.endswith(("s", "sh", "ch", "x")) else "s")
    return _PLURALS.get(name, regular)


def size_word(share: float) -> str:
    """`small`, `medium` or `large` for an object that covers `share` of its image."""
    return "small" if share < 0.04 else "medium" if share < 0.09 else "large"


def position_word(bbox: tuple[float, float, float, float], width: int, height: int) -> str:
    """Which ninth of the image the middle of a box lies in: `top left`, `middle`, `right`."""
    x1, y1, x2, y2 = bbox
    column = min(2, int(1.5 * (x1 + x2) / width))
    row = min(2, int(1.5 * (y1 + y2) / height))
    return _POSITIONS[row][column]
