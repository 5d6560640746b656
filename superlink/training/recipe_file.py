"""A recipe's YAML file with the line of each key, and what `--set` changes in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, SequenceNode

from ..errors import ConfigError

__all__ = ["Loc", "RecipeFile"]

Loc = tuple[str | int, ...]
"""A place in a recipe: keys, and indices of lists."""


class RecipeFile:
    """What stands in a file, in plain types, and where.

    Args:
        path: The YAML file.
        overrides: `a.b=c`, as `--set` takes them.

    Raises:
        ConfigError: The file is missing, is no YAML or is no mapping; or what is to be changed is
            not there.

    Attributes:
        data: What stands in the file.
        twins: The line of each key that its mapping has already, and what to do.
    """

    def __init__(self, path: str | Path, overrides: Sequence[str] = ()) -> None:
        self.path = Path(path)
        self._root, self.data, self.twins = _read(self.path)
        self._set: dict[Loc, str] = {}
        for override in overrides:
            self._set[_apply(self.data, override)] = override

    def place(self, loc: Loc) -> str:
        """Where a key stands: `recipe.yaml, line 31`, or the `--set` that brought it."""
        for end in range(len(loc), 0, -1):
            if override := self._set.get(tuple(map(str, loc[:end]))):
                return f"--set {override}"
        return f"{self.path}, line {self.line(loc)}"

    def line(self, loc: Loc) -> int:
        """The line of a key, counted from 1; of the nearest key above it where it is missing."""
        node, line = self._root, self._root.start_mark.line
        for part in loc:
            child = _child_node(node, part)
            if child is None:
                break
            node, line = child
        return line + 1

    def known(self, loc: Loc) -> Loc:
        """A place without what is no key of the file: the tags that pydantic gives to unions."""
        node: Any = self.data
        found: list[str | int] = []
        for part in loc:
            if isinstance(node, dict) and part in node:
                node = node[part]
            elif isinstance(node, list) and isinstance(part, int) and part < len(node):
                node = node[part]
            else:
                continue
            found.append(part)
        return tuple(found)


def _read(path: Path) -> tuple[Node, dict[str, Any], list[tuple[int, str]]]:
    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        loader.name = str(path)  # as its errors call it
        root = loader.get_single_node()
        twins = [] if root is None else [*_twins(root)]  # before keys are merged in
        data = None if root is None else loader.construct_document(root)
    except OSError as error:
        raise ConfigError(f"Expected a recipe file. Received: {path} ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if root is None or not isinstance(data, dict):
        raise ConfigError(f"Expected a mapping of keys in {path}. Received: {type(data).__name__}")
    return root, data, twins


def _twins(root: Node) -> Iterator[tuple[int, str]]:
    """Keys that stand twice in one mapping, of which YAML would silently take the last."""
    for mapping in _mappings(root, set()):
        lines: dict[tuple[str, str], int] = {}
        for key, _ in mapping.value:
            name, line = (key.tag, str(key.value)), key.start_mark.line + 1
            if name in lines:
                yield line, f"the key {key.value!r} stands in line {lines[name]} already. Keep one."
            lines.setdefault(name, line)


def _mappings(node: Node, seen: set[int]) -> Iterator[MappingNode]:
    """Every mapping below a node; an anchor's once, however often it is named."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, MappingNode):
        yield node
        for key, value in node.value:
            yield from _mappings(key, seen)
            yield from _mappings(value, seen)
    elif isinstance(node, SequenceNode):
        for value in node.value:
            yield from _mappings(value, seen)


def _child_node(node: Node, part: str | int) -> tuple[Node, int] | None:
    """What stands below a node, and the line where it begins."""
    if isinstance(node, MappingNode):
        # What was merged in stands before the mapping's own keys, which win.
        for key, value in reversed(node.value):
            if key.value == str(part):
                return value, key.start_mark.line
    elif isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part].start_mark.line
    return None


def _apply(data: Any, override: str) -> Loc:
    """Change what `a.b=c` names; its path, in strings."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"Expected --set KEY=VALUE, as stages.0.steps=10. Received: {override!r}")
    *parents, last = key.split(".")
    node = data
    for part in parents:
        node = _child(node, part, override)
    value = _parse(text, override)
    if isinstance(node, list):
        node[_index(node, last, override)] = value
    elif isinstance(node, dict):
        node[last] = value
    else:
        raise ConfigError(f"{key!r} of {override!r} leads into a value, not into a mapping.")
    return (*parents, last)


def _child(node: Any, part: str, override: str) -> Any:
    if isinstance(node, list):
        return node[_index(node, part, override)]
    if isinstance(node, dict):
        return node.setdefault(part, {})
    raise ConfigError(f"{part!r} of {override!r} leads into a value, not into a mapping.")


def _index(node: list[Any], part: str, override: str) -> int:
    if not part.isdecimal() or int(part) >= len(node):
        raise ConfigError(
            f"{part!r} of {override!r} must be an index into a list of {len(node)}, counted from 0."
        )
    return int(part)


def _parse(text: str, override: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"The value of {override!r} is not valid YAML: {error}") from error
