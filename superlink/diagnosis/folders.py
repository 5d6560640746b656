"""Can the folders be written to that a run writes to, and how much room is there?"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub.constants import HF_HUB_CACHE

__all__ = ["FolderState", "check_folders"]


@dataclass(frozen=True)
class FolderState:
    """A folder that is there, or will be made."""

    use: str
    """What it is for."""
    path: str
    """Where it is."""
    free_bytes: int | None
    """Free room on its disk."""
    problem: str
    """Why it cannot be written to; empty where it can."""
    needed: bool
    """Whether a run fails without it."""


def check_folders(checkpoints: Path) -> list[FolderState]:
    """The working folder, that of `checkpoints`, and the cache of what the Hub gave."""
    return [
        _check("working folder", Path(), needed=True),
        _check("checkpoints", checkpoints, needed=True),
        # A cache that cannot be written to may hold all that is wanted.
        _check("cache of the Hub", Path(HF_HUB_CACHE), needed=False),
    ]


def _check(use: str, path: Path, *, needed: bool) -> FolderState:
    path = path.absolute()
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    problem, free = "", None
    try:
        free = shutil.disk_usage(there).free
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        problem = f"{there} cannot be written to: {error.strerror}"
    return FolderState(use, str(path), free, problem, needed)
