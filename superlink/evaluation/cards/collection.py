"""Result cards of many runs on one page."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from ...errors import InputError
from .card import ResultCard

__all__ = ["cards_page", "find_cards"]


def find_cards(folders: Iterable[str | Path]) -> dict[Path, ResultCard]:
    """Every result card below the folders, by the path of its JSON, in the order of the paths.

    Raises:
        InputError: A folder is missing, holds no card, or a `card.json` in it is none.
    """
    found: dict[Path, ResultCard] = {}
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise InputError(f"Expected a folder with result cards. Received: {str(folder)!r}")
        paths = sorted(folder.rglob("card.json"))
        if not paths:
            raise InputError(
                f"No card.json below {str(folder)!r}. `superlink eval --card FOLDER` writes one."
            )
        found |= {path: ResultCard.read(path) for path in paths}
    return found


def cards_page(cards: dict[Path, ResultCard], beside: Path, title: str = "Result cards") -> str:
    """One page of Markdown: a table of contents with each card's first metrics, then the cards.

    Args:
        cards: Of `find_cards`.
        beside: The folder that the page will lie in; pictures are linked relative to it.
        title: Its heading.
    """
    parts = [f"# {title}", _overview(list(cards.values()))]
    for path, card in cards.items():
        folder = Path(os.path.relpath(path.parent, beside)).as_posix()
        parts.append(card.to_markdown(level=2, pictures=f"{folder}/").rstrip())
    return "\n\n".join(parts) + "\n"


def _overview(cards: Sequence[ResultCard]) -> str:
    lines = ["| card | seed | first metrics |", "|---|---|---|"]
    for card in cards:
        first = [f"`{key}` {value:.3f}" for key, value in list(card.metrics.items())[:3]]
        lines.append(f"| {card.name} | {card.seed} | {', '.join(first)} |")
    return "\n".join(lines)
