"""The lock of a run: one process, and none once it has ended."""

from __future__ import annotations

import subprocess
import sys

from superlink.training.lock import RunLock

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


def test_asking_leaves_no_file_behind(tmp_path):
    assert not RunLock(tmp_path).is_taken()
    assert not RunLock(tmp_path / "missing").is_taken()
    assert list(tmp_path.iterdir()) == []
