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
    """One page of Markdown: a table for each task that compares the cards, then the cards.

    Args:
        cards: Of `find_cards`.
        beside: The folder that the page will lie in; pictures are linked relative to it.
        title: Its heading.
    """
    # Experiments compare their own variants.
    compared = [card for card in cards.values() if not card.spreads]
    parts = [f"# {title}", *([_overview(compared)] if compared else [])]
    for path, card in cards.items():
        folder = Path(os.path.relpath(path.parent, beside)).as_posix()
        parts.append(card.to_markdown(level=2, pictures=f"{folder}/").rstrip())
    return "\n\n".join(parts) + "\n"


def _overview(cards: Sequence[ResultCard]) -> str:
    """A table for each task: its metrics, and a column for each card that has some."""
    tasks = dict.fromkeys(name.split("/")[0] for card in cards for name in card.metrics)
    return "\n\n".join(_comparison(task, cards) for task in tasks)


def _comparison(task: str, cards: Sequence[ResultCard]) -> str:
    mine = [card for card in cards if any(n.split("/")[0] == task for n in card.metrics)]
    stems = dict.fromkeys(
        name.removesuffix("/generated").removesuffix("/forced")
        for card in mine
        for name in card.metrics
        if name.split("/")[0] == task
    )
    head = f"| {task}: generated / forced | " + " | ".join(card.name for card in mine) + " |"
    lines = [head, "|---" * (len(mine) + 1) + "|"]
    for stem in stems:
        cells = " | ".join(_cell(card, stem) for card in mine)
        lines.append(f"| `{stem.removeprefix(f'{task}/')}` | {cells} |")
    return "\n".join(lines)


def _cell(card: ResultCard, stem: str) -> str:
    """A metric with generated and with forced routing, or as it is where it has no routing."""
    if stem in card.metrics:
        return f"{card.metrics[stem]:.3f}"
    pair = (card.metrics.get(f"{stem}/{routing}") for routing in ("generated", "forced"))
    return " / ".join("-" if value is None else f"{value:.3f}" for value in pair)
