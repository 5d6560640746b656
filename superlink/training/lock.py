"""One process at a time trains in the folder of a run."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

__all__ = ["RunLock"]

_FILE = ".lock"


class RunLock:
    """Held by the process that trains in a folder; the system frees it when that process ends, in
    whatever way.

    Args:
        folder: Of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self._lock = FileLock(self._path)

    def take(self) -> bool:
        """Hold it from now on; whether no other process does.

        Raises:
            OSError: The folder cannot be written to.
        """
        if not self._lock.is_locked:
            try:
                self._lock.acquire(blocking=False)
            except Timeout:
                return False
        return True

    def free(self) -> None:
        """Let others train."""
        self._lock.release(force=True)

    def is_taken(self) -> bool:
        """Whether a process, this one too, holds it; asking leaves no file behind."""
        if self._lock.is_locked:
            return True
        try:
            taken = self._path.is_file() and not self.take()
        except OSError:  # it cannot be written to, and so nobody trains here
            return False
        self.free()
        return taken
