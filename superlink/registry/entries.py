"""What the registry shows: one read-only record for each thing that a plugin declares."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["Entry", "Kind", "Status"]

Kind = Literal["decoder", "task", "backbone", "plugin"]
Status = Literal["ok", "missing requirement", "conflict", "failed", "disabled"]


@dataclass(frozen=True)
class Entry:
    """One decoder, task or backbone, or a plugin of which no more than its name is known."""

    kind: Kind
    """What it is; `plugin` where the plugin could not say, because it is broken or disabled."""
    name: str
    """Name of the spec, or of the entry point."""
    distribution: str
    """Name of the installed distribution that it comes from."""
    version: str
    """Version of that distribution."""
    status: Status = "ok"
    """Whether it can be built."""
    reason: str = ""
    """Why it cannot, where it cannot."""
    cure: str = ""
    """What to do about it, one command or sentence a line."""
    tokens: tuple[str, ...] = ()
    """Routing tokens of a decoder."""
    num_queries: int | None = None
    """Super-link queries behind each token of a decoder."""
    license: str = ""
    """Licence as SPDX; empty where the spec does not say."""

    def to_json(self) -> dict[str, Any]:
        """The record in plain JSON types."""
        return asdict(self) | {"tokens": list(self.tokens)}
