"""The state of every plugin, for people and programs: what is there, what fails, what to do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..interfaces import PLUGIN_API_VERSION, DecoderSpec
from .claims import Claim, conflict_text
from .discovery import Plugin
from .entries import Entry
from .requirements import missing_requirements

__all__ = ["report_entries"]

Rivals = Mapping[tuple[str, str], Sequence[Claim[Any]]]


def report_entries(plugins: Sequence[Plugin]) -> list[Entry]:
    """One record for each spec, and for each plugin of which no spec is known."""
    rivals: dict[tuple[str, str], list[Claim[Any]]] = defaultdict(list)
    for plugin in plugins:
        for spec in plugin.specs if plugin.error is None else ():
            claim = Claim[Any](plugin, spec)
            rivals[claim.kind, spec.name].append(claim)
    return [entry for plugin in plugins for entry in _entries_of(plugin, rivals)]


def _entries_of(plugin: Plugin, rivals: Rivals) -> Iterator[Entry]:
    if plugin.specs:
        for spec in plugin.specs:
            yield _entry_of(Claim(plugin, spec), rivals)
    elif plugin.disabled:
        yield Entry(
            kind="plugin",
            name=plugin.name,
            distribution=plugin.distribution,
            version=plugin.version,
            status="disabled",
            reason="switched off by the environment",
            cure="change SUPERLINK_PLUGINS or SUPERLINK_DISABLED_PLUGINS",
        )
    elif plugin.error is not None:
        yield Entry(
            kind="plugin",
            name=plugin.name,
            distribution=plugin.distribution,
            version=plugin.version,
            **_problem(plugin),
        )


def _entry_of(claim: Claim[Any], rivals: Rivals) -> Entry:
    plugin, spec = claim.plugin, claim.spec
    is_decoder = isinstance(spec, DecoderSpec)
    return Entry(
        kind=claim.kind,
        name=spec.name,
        distribution=plugin.distribution,
        version=plugin.version,
        tokens=spec.routing_tokens if is_decoder else (),
        num_queries=spec.num_queries if is_decoder else None,
        license=spec.license if is_decoder else "",
        **(_problem(plugin) or _conflict(rivals.get((claim.kind, spec.name), ())) or _lack(spec)),
    )


def _problem(plugin: Plugin) -> dict[str, Any]:
    """Status, reason and cure where the plugin is broken; otherwise nothing."""
    if plugin.error is None:
        return {}
    too_new = any(spec.api_version > PLUGIN_API_VERSION for spec in plugin.specs)
    return {
        "status": "failed",
        "reason": f"{type(plugin.error).__name__}: {plugin.error}",
        "cure": f"pip install --upgrade {'superlink' if too_new else plugin.distribution}",
    }


def _conflict(claims: Sequence[Claim[Any]]) -> dict[str, Any]:
    """Status, reason and cure where several plugins claim the name; otherwise nothing."""
    if len(claims) < 2:
        return {}
    owners = [claim.plugin.distribution for claim in claims]
    return {
        "status": "conflict",
        "reason": conflict_text(claims),
        # What claims a name of superlink's own is never cured by removing superlink.
        "cure": " or ".join(f"pip uninstall {name}" for name in owners if name != "superlink"),
    }


def _lack(spec: Any) -> dict[str, Any]:
    """Status, reason and cure where a requirement does not hold; otherwise nothing."""
    missing = missing_requirements(getattr(spec, "requires", ()))
    if not missing:
        return {}
    needs = "; ".join(
        f"needs {requirement.distribution}, found {found}" for requirement, found in missing
    )
    cure = "\n".join(requirement.install for requirement, _ in missing)
    return {"status": "missing requirement", "reason": needs, "cure": cure}
