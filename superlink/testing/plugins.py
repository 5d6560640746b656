"""Fake installed distributions, to test how plugins are found without installing any."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import invalidate_caches
from pathlib import Path
from tempfile import TemporaryDirectory

from ..registry import default_registry

__all__ = ["installed_plugin"]


@contextmanager
def installed_plugin(
    distribution: str,
    sources: Mapping[str, str],
    *,
    entry_points: Mapping[str, str] | None = None,
    version: str = "1.0",
) -> Iterator[Path]:
    """Install a distribution for as long as the context lasts.

    Args:
        distribution: Its name, as pip would show it.
        sources: Dotted module name to source text; the first is the plugin's module.
        entry_points: Entry points of the group `superlink`; by default one of the distribution's
            name, for the first module.
        version: Its version.

    Yields:
        The folder that holds it, already on `sys.path`; in PYTHONPATH it serves other processes.
    """
    points = {distribution: next(iter(sources))} if entry_points is None else entry_points
    with TemporaryDirectory() as name:
        folder = Path(name)
        _write_sources(folder, sources)
        _write_metadata(folder, distribution, version, points)
        sys.path.insert(0, name)
        _forget(sources)
        try:
            yield folder
        finally:
            sys.path.remove(name)
            _forget(sources)


def _write_sources(folder: Path, sources: Mapping[str, str]) -> None:
    for module, source in sources.items():
        path = folder.joinpath(*module.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")


def _write_metadata(
    folder: Path, distribution: str, version: str, entry_points: Mapping[str, str]
) -> None:
    info = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    lines = ["[superlink]", *(f"{name} = {value}" for name, value in entry_points.items())]
    texts = {
        "METADATA": f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n",
        "entry_points.txt": "\n".join(lines) + "\n",
    }
    for file, text in texts.items():
        (info / file).write_text(text, encoding="utf-8")
    files = [path for path in folder.rglob("*") if path.is_file()]
    record = [f"{path.relative_to(folder).as_posix()},," for path in (*files, info / "RECORD")]
    (info / "RECORD").write_text("\n".join(record) + "\n", encoding="utf-8")


def _forget(modules: Mapping[str, str]) -> None:
    """Drop what Python and superlink remember of earlier states."""
    packages = {module.partition(".")[0] for module in modules}
    for loaded in [name for name in sys.modules if name.partition(".")[0] in packages]:
        del sys.modules[loaded]
    invalidate_caches()
    default_registry.cache_clear()
