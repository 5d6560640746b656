"""What is wrong in a set of data: raised where it is found, or counted and named at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..errors import ConfigError, InputError

__all__ = ["BrokenPolicy", "Problem", "Problems"]

BrokenPolicy = Literal["error", "skip"]
"""What a reader does with an item that cannot be used: raise, or leave it out and count it."""


@dataclass(frozen=True)
class Problem:
    """One item that cannot be used."""

    file: str
    """The file that it stands in."""
    item: str
    """Which one, as `annotation 17`."""
    reason: str
    """What is wrong with it; the same words for the same kind of thing."""
    harmless: bool = False
    """Whether nothing is lost with it, as with a box that has no area."""

    def __str__(self) -> str:
        return f"{self.item} in {self.file}: {self.reason}"


class Problems:
    """Collects what a reader left out.

    Args:
        policy: `error` raises at the first item that is broken; `skip` collects them all.
    """

    def __init__(self, policy: BrokenPolicy = "error") -> None:
        if policy not in ("error", "skip"):
            raise ConfigError(f"broken is 'error' or 'skip'. Received: broken={policy!r}")
        self.policy = policy
        self.found: list[Problem] = []
        self.warnings: dict[str, str] = {}
        """By kind, what is kept and looks wrong, in whole sentences."""

    def __iter__(self) -> Iterator[Problem]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    def add(self, file: object, item: str, reason: str, *, harmless: bool = False) -> None:
        """Take in a broken item; the caller leaves it out.

        Args:
            file: Where it stands.
            item: Which one.
            reason: What is wrong with it, beginning in lower case.
            harmless: Whether it is left out under either policy, as a box without an area.

        Raises:
            InputError: The policy is `error`, and the item is not harmless.
        """
        problem = Problem(str(file), item, reason, harmless)
        if self.policy == "error" and not harmless:
            raise InputError(
                f"{problem}. Repair it, or leave such items out with the reader's option "
                "broken=skip; `superlink data validate` lists them all."
            )
        self.found.append(problem)

    def reasons(self) -> dict[str, int]:
        """How often each reason occurs, the most frequent first."""
        return dict(Counter(problem.reason for problem in self.found).most_common())
