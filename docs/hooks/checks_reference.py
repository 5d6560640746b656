"""Writes the lists of conformance checks from the checks themselves, when the site is built."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from superlink.testing import BACKBONE_CHECKS, DECODER_CHECKS, Check
from superlink.testing.checks import docs_of

PAGE = "reference/testing.md"


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Called by MkDocs for every page; all others stay as they are."""
    if page.file.src_uri != PAGE:
        return markdown
    return markdown + checks_reference()


def checks_reference() -> str:
    """A table for decoders and one for backbones, in the order in which checks run."""
    return "\n\n".join(
        [
            "## Checks of a decoder",
            _table(DECODER_CHECKS),
            "## Checks of a backbone",
            _table(BACKBONE_CHECKS),
            "",
        ]
    )


def _table(checks: Sequence[Check[Any]]) -> str:
    faults = docs_of(checks)
    rows = (f"| `{c.name}` | {c.topic} | {faults[c.name]} | {c.cure} |" for c in checks)
    return "\n".join(["| check | topic | what it stops | cure |", "|---|---|---|---|", *rows])
