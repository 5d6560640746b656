"""The lock of a run: one process, and none once it has ended."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time

import pytest

from superlink.training.lock import RunLock

fcntl = pytest.importorskip("fcntl")

HOLD = """
import sys
from filelock import FileLock
lock = FileLock(sys.argv[1] + "/.lock")
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_process_that_was_killed_leaves_no_lock_behind(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        assert process.stdout.readline() == "held\n"
        lock = RunLock(tmp_path)
        assert lock.is_taken()
        assert not lock.take()
        process.kill()
    assert not lock.is_taken()
    assert lock.take()
    assert lock.take()  # it is ours
    assert RunLock(tmp_path).is_taken()
    lock.free()
    assert not RunLock(tmp_path).is_taken()


def test_fork_that_outlives_a_trainer_does_not_keep_its_lock(tmp_path):
    """As the workers of a loader do for a while where a trainer was killed."""
    fork = """
lock.acquire()
if os.fork() == 0:
    sys.stdin.read()
else:
    print("held", flush=True)
    signal.pause()
"""
    held = HOLD.split("lock.acquire()", maxsplit=1)[0]
    command = [sys.executable, "-c", f"import os, signal{held}{fork}", str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        assert process.stdout.readline() == "held\n"
        assert RunLock(tmp_path).is_taken()
        process.kill()
        process.wait()
        lock = RunLock(tmp_path)
        assert lock.take()
        lock.free()


def _fail_locks(monkeypatch, code):
    def flock(*arguments):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.mark.parametrize("name", ["ENOLCK", "EOPNOTSUPP", "ENOTSUP", "ENOSYS"])
def test_folder_without_locks_is_trained_in_with_one_warning(tmp_path, monkeypatch, caplog, name):
    _fail_locks(monkeypatch, getattr(errno, name))
    lock = RunLock(tmp_path)
    assert lock.take()
    assert lock.take()
    [warning] = caplog.messages
    assert f"{tmp_path} cannot be locked" in warning
    assert not RunLock(tmp_path).is_taken()
    lock.free()
    assert RunLock(tmp_path).take()  # no file is left that stands for a lock


@pytest.mark.parametrize("name", ["EROFS", "ENOSPC", "EIO"])
def test_other_errors_of_a_folder_are_raised(tmp_path, monkeypatch, name):
    _fail_locks(monkeypatch, getattr(errno, name))
    with pytest.raises(OSError, match=os.strerror(getattr(errno, name))):
        RunLock(tmp_path).take()


def test_one_who_asks_does_not_take_the_lock(tmp_path):
    RunLock(tmp_path).take()  # and drops it, but for its file
    file = os.open(tmp_path / ".lock", os.O_RDONLY)
    fcntl.flock(file, fcntl.LOCK_SH)  # as one who asks has it for a moment
    assert not RunLock(tmp_path).is_taken()
    timer = threading.Timer(0.2, os.close, [file])
    timer.start()
    begin = time.monotonic()
    lock = RunLock(tmp_path)
    assert lock.take()
    assert time.monotonic() - begin > 0.1
    timer.join()
    lock.free()


def test_lock_that_may_only_be_read_is_seen(tmp_path, monkeypatch):
    lock, opened = RunLock(tmp_path), os.open
    assert lock.take()

    def read_only(path, flags, *rest, **named):
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return opened(path, flags, *rest, **named)

    monkeypatch.setattr(os, "open", read_only)
    assert RunLock(tmp_path).is_taken()
    lock.free()
    assert not RunLock(tmp_path).is_taken()


def test_asking_leaves_no_file_behind(tmp_path):
    assert not RunLock(tmp_path).is_taken()
    assert not RunLock(tmp_path / "missing").is_taken()
    assert list(tmp_path.iterdir()) == []
