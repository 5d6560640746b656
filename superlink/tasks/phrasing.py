"""Question and answer templates, kept as JSON files beside the code."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

__all__ = ["choose_template", "load_templates"]

Templates = Mapping[str, Mapping[str, tuple[str, ...]]]


@cache
def load_templates(task: str) -> Templates:
    """The templates of a task: purpose, then group (`plain` or `varied`), then texts."""
    content = json.loads((files(__package__) / "templates" / f"{task}.json").read_text("utf-8"))
    return {
        purpose: {group: tuple(texts) for group, texts in groups.items()}
        for purpose, groups in content.items()
    }


def choose_template(task: str, purpose: str, rng: random.Random, *, varied: bool) -> str:
    """The first plain template, or any of the varied ones."""
    groups = load_templates(task)[purpose]
    return rng.choice(groups["varied"]) if varied else groups["plain"][0]
