"""Writes the page of result cards from the cards themselves, when the site is built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from superlink.evaluation.cards import cards_page, find_cards

PAGE = "reference/cards.md"


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Called by MkDocs for every page; all others stay as they are."""
    if page.file.src_uri != PAGE:
        return markdown
    folder = Path(page.file.abs_src_path).parent
    return markdown + cards_page(find_cards([folder / "results"]), folder).split("\n", 1)[1]
