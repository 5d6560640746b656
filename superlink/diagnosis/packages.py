"""Which packages superlink and its plugins ask for, as their metadata says, and which are there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata

from packaging.requirements import InvalidRequirement, Requirement

__all__ = ["PackageState", "find_packages"]


@dataclass(frozen=True)
class PackageState:
    """A package that some distribution asks for."""

    name: str
    """Its name."""
    installed: str | None
    """Version that is installed."""
    wanted: str
    """Versions that would do; empty means any."""
    needed_by: str
    """The distribution that asks for it, with the extra where it is one: `superlink[train]`."""
    install: str
    """The line that installs it; empty where it is installed and fits."""


def find_packages(distributions: Collection[str]) -> list[PackageState]:
    """What each of `distributions` asks for on this platform, in the order of its metadata; of what
    several ask for in the same way, the first."""
    states: dict[tuple[str, str], PackageState] = {}
    for distribution in distributions:
        for requirement, extra in _requirements(distribution):
            if requirement.name not in distributions:
                state = _state(requirement, distribution, extra)
                states.setdefault((state.name, state.wanted), state)
    return list(states.values())


def _requirements(distribution: str) -> Iterator[tuple[Requirement, str]]:
    """Each requirement that counts on this platform, with its extra; small extras go first."""
    try:
        found = metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return  # its metadata has no name
    requirements = list(_parsed(found.requires or ()))
    plain = [r for r in requirements if _counts(r, "")]
    yield from ((requirement, "") for requirement in plain)
    extras = {
        extra: [r for r in requirements if _counts(r, extra) and r not in plain]
        for extra in found.metadata.get_all("Provides-Extra") or ()
    }
    for extra in sorted(extras, key=lambda name: len(extras[name])):
        yield from ((requirement, extra) for requirement in extras[extra])


def _parsed(texts: Iterable[str]) -> Iterator[Requirement]:
    for text in texts:
        try:
            yield Requirement(text)
        except InvalidRequirement:  # old metadata; pip could not follow it either
            continue


def _counts(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _state(requirement: Requirement, distribution: str, extra: str) -> PackageState:
    try:
        installed = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        installed = None
    wanted = str(requirement.specifier)
    owner = f"{distribution}[{extra}]" if extra else distribution
    fits = installed is not None and requirement.specifier.contains(installed, prereleases=True)
    asked = owner if extra else f"{requirement.name}{wanted}"
    return PackageState(
        requirement.name, installed, wanted, owner, "" if fits else f"pip install '{asked}'"
    )
