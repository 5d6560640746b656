"""One process at a time trains in the folder of a run."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

from filelock import FileLock, Timeout

try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None  # type: ignore[assignment]

__all__ = ["RunLock"]

_LOG = logging.getLogger(__name__)
_FILE = ".lock"
_PATIENCE = 1.0
"""Seconds in which one who only asks lets go of it."""
_UNSUPPORTED = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS})


class RunLock:
    """Held by the process that trains in a folder; the system frees it when that process ends, in
    whatever way. Where the file system has no locks, nothing is held, and a warning says so.

    Args:
        folder: Of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        # A file in the place of a lock would outlive a process that was killed.
        self._lock = FileLock(self._path, fallback_to_soft=False)
        self._is_unsupported = False

    def take(self) -> bool:
        """Hold it from now on; whether no other process does.

        Raises:
            OSError: The folder cannot be written to.
        """
        if self._lock.is_locked or self._is_unsupported:
            return True
        try:
            self._lock.acquire(timeout=_PATIENCE)
        except Timeout:
            return False
        except (OSError, NotImplementedError) as error:
            if isinstance(error, OSError) and error.errno not in _UNSUPPORTED:
                raise
            self._is_unsupported = True
            _LOG.warning(
                "%s cannot be locked: its file system has no locks (%s). Training goes on; see to "
                "it that no other process trains there.",
                self._path.parent,
                error,
            )
        return True

    def free(self) -> None:
        """Let others train."""
        self._lock.release(force=True)

    def is_taken(self) -> bool:
        """Whether a process, this one too, holds it; asking keeps nobody from taking it, and leaves
        no file behind."""
        if self._lock.is_locked:
            return True
        try:
            if fcntl is not None:
                return _is_locked(self._path)
            taken = self._path.is_file() and not self.take()
        except OSError:  # it is not there, or cannot be asked
            return False
        self.free()
        return taken


def _is_locked(path: Path) -> bool:
    """Whether a process holds the lock of a file, which need only be readable.

    Raises:
        OSError: It cannot be read, or its file system has no locks.
    """
    file = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # the latter on some file systems
        return True
    finally:
        os.close(file)
    return False
