"""Checkpoints of a stage that goes on: written as a whole, with digests, and checked when read."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from pathlib import Path

__all__ = ["newest_whole", "publish", "remove_after", "remove_old", "saved_checkpoints", "step_of"]

_LOG = logging.getLogger(__name__)
_LIST = "files.json"
"""Every other file of a checkpoint with its digest."""
_BLOCK = 1 << 20


def saved_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a stage, whole or not, the oldest first."""
    paths = (path for path in folder.glob("checkpoint-*") if path.name[11:].isdecimal())
    return sorted(paths, key=step_of)


def step_of(checkpoint: Path) -> int:
    """The step after which a checkpoint was written."""
    return int(checkpoint.name[11:])


def publish(fresh: Path, folder: Path) -> str:
    """Give a checkpoint that was written to its end its name; tell why where that fails."""
    try:
        digests = {name: _digest(fresh / name) for name in _files(fresh)}
        (fresh / _LIST).write_text(json.dumps(digests, indent=1), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)  # one that was found damaged
        fresh.rename(folder)
    except OSError as error:
        return str(error)
    return ""


def newest_whole(folder: Path) -> Path | None:
    """The last checkpoint below `folder` that holds what was written; newer ones are told of."""
    for checkpoint in reversed(saved_checkpoints(folder)):
        problem = _problem(checkpoint)
        if not problem:
            return checkpoint
        _LOG.warning(
            "%s cannot be used: %s. The run goes on from the checkpoint before it, or begins the "
            "stage again where there is none.",
            checkpoint,
            problem,
        )
    return None


def remove_after(folder: Path, kept: Path | None) -> None:
    """Remove the checkpoints after one, all where there is none: damaged, they would take the
    place of whole ones."""
    for checkpoint in saved_checkpoints(folder):
        if kept is None or step_of(checkpoint) > step_of(kept):
            shutil.rmtree(checkpoint, ignore_errors=True)


def remove_old(folder: Path, keep: int) -> None:
    """Remove all but the newest checkpoints."""
    for checkpoint in saved_checkpoints(folder)[:-keep]:
        shutil.rmtree(checkpoint, ignore_errors=True)


def _problem(checkpoint: Path) -> str:
    """What is wrong with a checkpoint; nothing where it is as it was written."""
    try:
        digests = json.loads((checkpoint / _LIST).read_text(encoding="utf-8"))
        if missing := sorted(digests.keys() - set(_files(checkpoint))):
            return f"{missing[0]} is missing"
        wrong = [name for name, digest in digests.items() if _digest(checkpoint / name) != digest]
    except (OSError, ValueError, AttributeError) as error:
        return f"{_LIST} cannot be read ({error})"
    return f"{wrong[0]} is not what was written" if wrong else ""


def _files(folder: Path) -> list[str]:
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return [name for path in paths if (name := path.relative_to(folder).as_posix()) != _LIST]


def _digest(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
