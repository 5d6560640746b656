"""What an interrupted evaluation may go on from: the same model, and the same files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError

__all__ = ["file_states", "folder_digest"]


def folder_digest(folder: Path, without: Path | None = None) -> str:
    """A digest that changes when a file of a folder does: of names, sizes and times.

    Args:
        folder: What is looked at.
        without: A folder in it that does not count.

    Raises:
        InputError: There is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"Expected the folder of a model. Received: {str(folder)!r}")
    left_out = None if without is None else without.resolve()
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        if left_out is None or left_out not in path.resolve().parents:
            name = path.relative_to(folder).as_posix()
            digest.update(f"{name} {_file_state(path)}\n".encode())
    return digest.hexdigest()


def file_states(options: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Size and time of every file that an option names."""
    named = [value for given in options for value in given.values() if isinstance(value, str)]
    return {name: _file_state(Path(name)) for name in named if Path(name).is_file()}


def _file_state(path: Path) -> str:
    stat = path.stat()
    return f"{stat.st_size} {stat.st_mtime_ns}"
