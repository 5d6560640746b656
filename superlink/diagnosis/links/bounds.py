"""Where a figure stops being as it should: every threshold of `superlink diagnose`, with its
reason. Each leaves room around what the models that superlink ships measure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .finding import Status

__all__ = [
    "BANK_COSINE",
    "CHAT_RISE",
    "CONDITION_SPREAD",
    "DROPPED",
    "FALL",
    "LIKELIEST",
    "LIKELIEST_FREE",
    "RATIO_HIGH",
    "RATIO_LOW",
    "REPLIES",
    "ROW_NORM",
    "Bound",
]


@dataclass(frozen=True)
class Bound:
    """Two thresholds; a figure on the wrong side of the second one is a problem."""

    warning: float
    """From here on something is worth a look."""
    problem: float
    """From here on it does not work."""
    reason: str
    """Why these."""

    @property
    def at_least(self) -> bool:
        """Whether a figure must be large."""
        return self.problem < self.warning

    def judge(self, value: float) -> Status:
        """What a figure means; one that is no number is a problem."""
        if math.isnan(value):
            return "problem"
        sign = -1 if self.at_least else 1
        if sign * value > sign * self.problem:
            return "problem"
        return "warning" if sign * value > sign * self.warning else "ok"

    def __str__(self) -> str:
        return f"at {'least' if self.at_least else 'most'} {self.warning:g}"


LIKELIEST = Bound(
    0.9, 0.5, "A reply takes the likeliest token: below a half, most routes never come."
)
LIKELIEST_FREE = Bound(
    0.5, 0.0, "Where phrases begin, and how they are worded and ordered, may be free."
)
RATIO_LOW = Bound(
    1e-3, 0.0, "Clipping and AdamW mix both losses: below a thousandth, one of them decides alone."
)
RATIO_HIGH = Bound(1e3, math.inf, "The same from the other side: the language loss is drowned.")
BANK_COSINE = Bound(
    0.9, 0.99, "Fresh queries stand at right angles; at 0.99 a bank says one thing several times."
)
CONDITION_SPREAD = Bound(
    0.05, 0.01, "Share of a condition that differs between phrases: rounding in bfloat16 is 0.004."
)
ROW_NORM = Bound(
    4.0, 10.0, "A row that is longer than words outshouts them, in the input and in the logits."
)
REPLIES = Bound(0.9, 0.5, "As for a token: below a half, most of what was asked for is missing.")
FALL = Bound(0.95, 1.5, "A loss that is trained falls; what rises by half was trained away.")
DROPPED = Bound(0.05, 0.5, "A few long samples are usual; half of them are other data than meant.")
CHAT_RISE = Bound(
    0.1, 1.0, "Nats per token: a tenth is as much as other text differs; 1 is another language."
)
