"""Are the distributions installed that a plugin needs at run time? Metadata alone is read."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import metadata

from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as Parsed

from ..errors import PluginError
from ..interfaces import Requirement

__all__ = ["missing_requirements", "parse_alternatives"]


def parse_alternatives(requirement: Requirement) -> list[Parsed]:
    """The distributions of which one is enough: `mmcv>=2 or mmcv-lite>=2` has two.

    Raises:
        PluginError: The text is no requirement.
    """
    try:
        return [Parsed(text) for text in requirement.distribution.split(" or ")]
    except InvalidRequirement as error:
        raise PluginError(
            "A requirement is written as in a requirements file, alternatives joined by ' or ': "
            f"'mmcv>=2.1,<2.2 or mmcv-lite>=2.1'. Received: {requirement.distribution!r}"
        ) from error


def missing_requirements(
    requirements: Iterable[Requirement],
) -> list[tuple[Requirement, str]]:
    """The requirements that do not hold, each with what was found in their place."""
    missing = []
    for requirement in requirements:
        alternatives = parse_alternatives(requirement)
        if not any(_holds(parsed) for parsed in alternatives):
            missing.append((requirement, ", ".join(_found(parsed) for parsed in alternatives)))
    return missing


def _installed_version(parsed: Parsed) -> str | None:
    try:
        return metadata.version(parsed.name)
    except metadata.PackageNotFoundError:
        return None


def _holds(parsed: Parsed) -> bool:
    if parsed.marker is not None and not parsed.marker.evaluate():
        return True
    version = _installed_version(parsed)
    # A pre-release that somebody installed on purpose counts.
    return version is not None and parsed.specifier.contains(version, prereleases=True)


def _found(parsed: Parsed) -> str:
    version = _installed_version(parsed)
    return f"{parsed.name} {version}" if version else f"no {parsed.name}"
