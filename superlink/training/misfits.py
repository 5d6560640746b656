"""Where parts of a recipe, each right by itself, do not fit each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..registry.suggestions import suggest

__all__ = ["Misfit", "as_mapping", "as_sequence", "misfits"]


class Misfit(NamedTuple):
    """A name that leads nowhere, or a key that wants another."""

    loc: tuple[str | int, ...]
    """Where it stands: keys and indices."""
    text: str
    """What is wrong and what would be right."""
    value: Any
    """What stands there."""


def misfits(recipe: Mapping[str, Any]) -> Iterator[Misfit]:
    """All of them, in a recipe of plain types; what is no recipe's is passed over."""
    if recipe.get("start_parts") is not None and recipe.get("start") is None:
        text = "start_parts says what is taken from a checkpoint: give start as well."
        yield Misfit(("start_parts",), text, recipe["start_parts"])
    known = [*map(str, as_mapping(recipe.get("data")))]
    yield from _stages(as_sequence(recipe.get("stages")), known)
    guard = as_mapping(recipe.get("chat_guard")).get("data")
    if isinstance(guard, str) and guard not in known:
        text = f"chat_guard wants the data {guard!r}. {suggest(guard, known)}"
        yield Misfit(("chat_guard", "data"), text, guard)


def _stages(stages: Sequence[Any], known: Sequence[str]) -> Iterator[Misfit]:
    names = [as_mapping(stage).get("name") for stage in stages]
    for index, name in enumerate(names):
        if name is not None and name in names[:index]:
            text = f"each stage needs a name of its own. Received: {names}"
            yield Misfit(("stages", index, "name"), text, name)
        data = as_mapping(stages[index]).get("data")
        for wanted in [data] if isinstance(data, str) else as_sequence(data) or as_mapping(data):
            if str(wanted) not in known:
                text = f"stage {name!r} wants the data {wanted!r}. {suggest(str(wanted), known)}"
                yield Misfit(("stages", index, "data"), text, wanted)


def as_mapping(value: Any) -> Mapping[str, Any]:
    """A mapping as it is; of anything else, an empty one."""
    return value if isinstance(value, Mapping) else {}


def as_sequence(value: Any) -> Sequence[Any]:
    """A list or a tuple as it is; of anything else, an empty one."""
    return value if isinstance(value, list | tuple) else ()
