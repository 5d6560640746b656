"""Sets of keypoints by their name, by their file, and by the names of their points."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

import msgspec

from ...errors import ConfigError
from ...interfaces import DEFAULT_SIGMA, KeypointSet
from ...registry.suggestions import suggest
from .words import word_sides

__all__ = ["keypoint_set", "keypoint_set_names", "known_keypoints"]

_TABLES = ("coco", "crowdpose", "ap10k", "300w", "hand")
"""Where several know as many names, the first decides."""
_SAME = {"human_art": "coco", "macaque": "coco"}


class _Table(msgspec.Struct, forbid_unknown_fields=True):
    """A file of a set; see `KeypointSet`."""

    names: tuple[str, ...]
    sigmas: tuple[float, ...] = ()
    limbs: tuple[tuple[str, str], ...] = ()
    sides: tuple[tuple[str, str], ...] | None = None
    """Left out: those that the words left and right tell."""


def keypoint_set_names() -> tuple[str, ...]:
    """The names of the built-in sets of keypoints, sorted."""
    return tuple(sorted((*_TABLES, *_SAME)))


def keypoint_set(name: str | Path) -> KeypointSet:
    """A set of keypoints: a built-in one by its name, or one from a file.

    Args:
        name: One of `keypoint_set_names()`, or the path of a JSON file with `names` and, where they
            are known, `sigmas`, `limbs` and `sides`, as `KeypointSet` has them.

    Raises:
        ConfigError: There is no such set, or the file is missing or is no such JSON.
        InputError: What the file says does not hold together.
    """
    if str(name) in _TABLES or str(name) in _SAME:
        return _built_in(_SAME.get(str(name), str(name)))
    path = Path(name)
    if path.suffix != ".json":
        raise ConfigError(
            "Expected the name of a set of keypoints, or the path of a JSON file. Received: "
            f"{str(name)!r}. {suggest(str(name), keypoint_set_names())}"
        )
    try:
        return _decoded(path.read_bytes())
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise ConfigError(
            "A file of a set of keypoints is JSON with names and, where they are known, sigmas, "
            f"limbs and sides. Received: {str(path)!r}: {error}"
        ) from error


def known_keypoints(names: Sequence[str]) -> KeypointSet:
    """What is known of keypoints that somebody named, as an LLM does in its reply.

    The built-in set that knows most of the names, whatever their capitals, says their sigmas and
    limbs; the others have `DEFAULT_SIGMA`. It says the sides, too, where it knows all names and
    has no pair of which one is missing; otherwise the words left and right do.

    Args:
        names: The names. One that is blank is called by its number, `keypoint 3`, and one that
            comes again has its number behind it, `nose (3)`.
    """
    distinct = _distinct(names)
    spelled = {name.casefold().strip(): name for name in distinct}
    table = max(map(_built_in, _TABLES), key=lambda one: len(spelled.keys() & set(one.names)))
    sigmas = dict(zip(table.names, table.sigmas, strict=True))

    def within(pairs: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
        return tuple((spelled[a], spelled[b]) for a, b in pairs if {a, b} <= spelled.keys())

    whole = spelled.keys() <= set(table.names) and table.sides is not None
    if whole and not any(len({*pair} & spelled.keys()) == 1 for pair in table.sides or ()):
        sides: tuple[tuple[str, str], ...] | None = within(table.sides or ())
    else:
        sides = word_sides(distinct)
    return KeypointSet(
        names=distinct,
        sigmas=tuple(sigmas.get(name, DEFAULT_SIGMA) for name in spelled),
        limbs=within(table.limbs),
        sides=sides,
    )


@cache
def _built_in(name: str) -> KeypointSet:
    return _decoded((files(__package__) / f"{name}.json").read_bytes())


def _decoded(text: bytes) -> KeypointSet:
    table = msgspec.json.decode(text, type=_Table)
    sides = word_sides(table.names) if table.sides is None else table.sides
    return KeypointSet(table.names, table.sigmas, table.limbs, sides)


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """The names, of which those that are blank or come again are changed by their number."""
    taken: dict[str, str] = {}
    for number, name in enumerate(names, 1):
        written = name if name.strip() else f"keypoint {number}"
        while written.casefold().strip() in taken:
            written = f"{written} ({number})"
        taken[written.casefold().strip()] = written
    return tuple(taken.values())
