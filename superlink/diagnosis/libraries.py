"""The libraries that decoders and backbones of plugins need at run time, and how to install them:
what their `Requirement`s say, and the metadata of what is installed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.machinery import EXTENSION_SUFFIXES

from ..interfaces import Requirement
from ..registry import Registry
from ..registry.requirements import missing_requirements, parse_alternatives

__all__ = ["LibraryState", "find_libraries", "install_lines"]


@dataclass(frozen=True)
class LibraryState:
    """One requirement of the plugins."""

    wanted: str
    """Distributions with versions, of which one is enough."""
    installed: str
    """Name and version of the one that is installed; empty where none is that would do."""
    compiled: bool | None
    """Whether it holds compiled modules, such as operators; None where its metadata does not
    say."""
    needed_by: tuple[str, ...]
    """Names of the decoders and backbones that ask for it."""
    install: str
    """What installs it, one command a line."""


def find_libraries(registry: Registry) -> list[LibraryState]:
    """Every requirement of the plugins that work, or would with it; the same one counts once."""
    owners: dict[Requirement, list[str]] = {}
    for name, requirement in _requirements(registry):
        owners.setdefault(requirement, []).append(name)
    return [_state(requirement, tuple(names)) for requirement, names in owners.items()]


def install_lines(registry: Registry) -> list[str]:
    """The commands that install all that the plugins need, each once, in the order in which the
    plugins name them."""
    texts = (requirement.install for _, requirement in _requirements(registry))
    lines = (line.strip() for text in texts for line in text.splitlines())
    return list(dict.fromkeys(filter(None, lines)))


def _requirements(registry: Registry) -> Iterator[tuple[str, Requirement]]:
    for entry in registry.entries():
        if entry.status not in ("ok", "missing requirement"):
            continue
        if entry.kind in ("decoder", "backbone"):
            find = registry.decoder if entry.kind == "decoder" else registry.backbone
            for requirement in find(entry.name).requires:
                if _counts_here(requirement):
                    yield entry.name, requirement


def _counts_here(requirement: Requirement) -> bool:
    """Whether no marker excepts this platform."""
    markers = (parsed.marker for parsed in parse_alternatives(requirement))
    return all(marker is None or marker.evaluate() for marker in markers)


def _state(requirement: Requirement, needed_by: tuple[str, ...]) -> LibraryState:
    found = _installed(requirement)
    return LibraryState(
        wanted=requirement.distribution,
        installed="" if found is None else f"{found.name} {found.version}",
        compiled=None if found is None else _is_compiled(found),
        needed_by=needed_by,
        install=requirement.install,
    )


def _installed(requirement: Requirement) -> metadata.Distribution | None:
    """The alternative that is there; a compiled one goes first, as it does at run time."""
    found = []
    for parsed in parse_alternatives(requirement):
        alone = Requirement(str(parsed), requirement.install)
        if not missing_requirements([alone]):
            found.append(metadata.distribution(parsed.name))
    return max(found, key=lambda one: bool(_is_compiled(one)), default=None)


def _is_compiled(distribution: metadata.Distribution) -> bool | None:
    if distribution.files is None:
        return None
    return any(file.name.endswith(tuple(EXTENSION_SUFFIXES)) for file in distribution.files)
