"""Words to classes: which class the phrase of a route means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from ...errors import ConfigError, InputError

__all__ = ["CategoryMatcher", "How", "Match", "load_synonyms", "normalize_phrase"]

How = Literal["exact", "normalized", "synonym", "unknown"]
"""In which way a phrase was understood."""

_ARTICLES = ("the", "a", "an")


@dataclass(frozen=True)
class Match:
    """What a phrase means."""

    category: str | None
    """The class, as its data set writes it; None where it is unknown."""
    how: How
    """In which way it was understood."""


def normalize_phrase(phrase: str) -> str:
    """Lower case, one space between words, no hyphens, no underscores, no article before them."""
    words = phrase.lower().replace("-", " ").replace("_", " ").split()
    while len(words) > 1 and words[0] in _ARTICLES:
        words = words[1:]
    return " ".join(words)


class CategoryMatcher:
    """Finds the class that a phrase means, and never guesses: where two fit, it is unknown.

    In this order: the class itself; its normalised form; its synonyms, in normalised form too;
    and then these two once more with an "s" or "es" of the phrase taken away.

    Args:
        categories: The classes.
        synonyms: Class to other words for it; classes that are not among `categories` may occur.
    """

    def __init__(
        self, categories: Iterable[str], synonyms: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        self.categories = tuple(dict.fromkeys(categories))
        self._exact = frozenset(self.categories)
        self._forms = _index((name, name) for name in self.categories)
        self._synonyms = _index(
            (word, category)
            for name, words in (synonyms or {}).items()
            for category in self._named(name)
            for word in words
        )

    def _named(self, name: str) -> Iterable[str]:
        """The categories that a name among the synonyms may mean: `Polo` is not `polo`."""
        return (name,) if name in self._exact else self._forms.get(normalize_phrase(name), ())

    def match(self, phrase: str) -> Match:
        """The class that `phrase` means."""
        if phrase in self._exact:
            return Match(phrase, "exact")
        form = normalize_phrase(phrase)
        tables: tuple[tuple[How, dict[str, set[str]]], ...] = (
            ("normalized", self._forms),
            ("synonym", self._synonyms),
        )
        for forms in ((form,), _singulars(form)):
            for how, table in tables:
                fitting = {name for word in forms for name in table.get(word, ())}
                if len(fitting) == 1:
                    return Match(next(iter(fitting)), how)
                if fitting:
                    return Match(None, "unknown")
        return Match(None, "unknown")


def load_synonyms(
    synonyms: Mapping[str, Sequence[str]] | str | Path | None,
) -> dict[str, tuple[str, ...]]:
    """Class to other words for it.

    Args:
        synonyms: Such a mapping, or a JSON or YAML file that holds one; None is none.

    Raises:
        InputError: The file cannot be read.
        ConfigError: It is no mapping of names to lists of words.
    """
    content: Any = synonyms or {}
    source = ""
    if isinstance(content, str | Path):
        source = f" in {content}"
        try:
            content = yaml.safe_load(Path(content).read_text(encoding="utf-8"))  # JSON is YAML too
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise InputError(f"The synonyms{source} cannot be read: {error}") from error
    if not isinstance(content, Mapping):
        raise ConfigError(
            f"Synonyms are a mapping of names to lists of words. Received: {content!r:.80}{source}"
        )
    for name, words in content.items():
        listed = isinstance(words, Sequence) and not isinstance(words, str)
        if not (isinstance(name, str) and listed and all(isinstance(w, str) for w in words)):
            raise ConfigError(
                "Synonyms are a mapping of names to lists of words, as person: [people, human]. "
                f"Received: {name!r}: {words!r:.80}{source}"
            )
    return {name: tuple(words) for name, words in content.items()}


def _index(pairs: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """Normalised form to the classes that it may mean."""
    forms: dict[str, set[str]] = {}
    for word, name in pairs:
        forms.setdefault(normalize_phrase(word), set()).add(name)
    return forms


def _singulars(form: str) -> tuple[str, ...]:
    return tuple(form.removesuffix(end) for end in ("s", "es") if form.endswith(end))
