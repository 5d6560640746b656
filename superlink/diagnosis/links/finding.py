"""What a check of a link found: the figure, its bound, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

__all__ = ["SYMPTOMS", "Finding", "Status", "worst"]

Status = Literal["ok", "warning", "problem"]

SYMPTOMS = "docs/how-to/symptoms.md"
"""The page that anchors of findings lead into."""
_ORDER: tuple[Status, ...] = ("ok", "warning", "problem")


@dataclass(frozen=True)
class Finding:
    """One thing that was measured."""

    check: str
    """What kind of thing."""
    subject: str
    """Of what: a token, a decoder, a bank, a stage."""
    status: Status
    """Whether it is as it should be."""
    measured: str
    """The figure in words."""
    bound: str = ""
    """What it is held against."""
    symptom: str = ""
    """What is wrong; empty where nothing is."""
    advice: str = ""
    """What to do."""
    anchor: str = ""
    """Heading of `SYMPTOMS` that says more."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """All figures by name."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types; a figure that is not finite is text."""
        figures = {
            name: value if abs(value) < float("inf") else str(value)
            for name, value in self.figures.items()
        }
        return asdict(self) | {"figures": figures}


def worst(statuses: Iterable[Status]) -> Status:
    """The most serious of some."""
    return max(statuses, key=_ORDER.index, default="ok")
