"""Starts a fresh process that builds a decoder, and trains one step beside a copy of itself."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..interfaces import CallInput, DecoderSpec

__all__ = ["TIME_LIMIT", "Apart", "run_apart"]

TIME_LIMIT = 120.0
"""Seconds until processes that wait for each other are ended."""

_GRACE = 5.0
"""Seconds that a process has left when the other one failed."""
_LOOPBACK = {"linux": "lo", "darwin": "lo0"}
_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE", "DIFFUSERS_OFFLINE")
"""Taken from the environment of the processes, so that an attempt to download shows."""


@dataclass(frozen=True)
class Apart:
    """What two fresh processes found."""

    notes: tuple[Mapping[str, Any], ...]
    """By rank, what `decoder_worker` wrote down."""
    errors: tuple[str, ...]
    """By rank, the end of what a process printed that did not end well."""
    hung: bool
    """Whether they had to be ended."""


def run_apart(
    spec: DecoderSpec,
    config: Mapping[str, Any],
    call: CallInput,
    tokens: Sequence[str],
    plugins: Sequence[str] = (),
) -> Apart:
    """Declare, build and train a decoder in two processes.

    Args:
        spec: The decoder.
        config: Its settings.
        call: A call with a target, for the first process; the second one has none.
        tokens: The routing tokens of the call.
        plugins: The entry points that declare the decoder; without any nothing is discovered.
    """
    request = {"name": spec.name, "spec": spec, "config": dict(config), "tokens": [*tokens]}
    with TemporaryDirectory() as name:
        folder = Path(name)
        request["declared"] = bool(plugins)
        (folder / "request.pickle").write_bytes(pickle.dumps(request))
        (folder / "call.pickle").write_bytes(pickle.dumps(call))
        worker = _start(folder, plugins)
        try:
            hung = not _wait(worker, folder)
        finally:
            _end(worker)
        notes = tuple(_notes(folder / f"{rank}.json") for rank in range(2))
        texts = tuple(_tail(folder / f"{rank}.txt") for rank in range(2))
    errors = ("" if n.get("done") else text for n, text in zip(notes, texts, strict=True))
    return Apart(notes, tuple(errors), hung)


def _start(folder: Path, plugins: Sequence[str]) -> subprocess.Popen[bytes]:
    environment = {name: value for name, value in os.environ.items() if name not in _OFFLINE}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    environment["OMP_NUM_THREADS"] = "1"
    if sys.platform in _LOOPBACK:  # a name of this machine that leads nowhere must not matter
        environment["GLOO_SOCKET_IFNAME"] = _LOOPBACK[sys.platform]
    environment["SUPERLINK_PLUGINS"] = ",".join(plugins)
    command = [sys.executable, "-m", "superlink.testing.decoder_worker", str(folder)]
    with (folder / "0.txt").open("wb") as output:
        # A session of its own, so that its copy can be ended with it.
        return subprocess.Popen(
            command, env=environment, stdout=output, stderr=output, start_new_session=True
        )


def _wait(worker: subprocess.Popen[bytes], folder: Path) -> bool:
    """Wait until it ended, or until its copy failed and it waits in vain; False where the time ran
    out."""
    deadline, failed = time.monotonic() + TIME_LIMIT, False
    while worker.poll() is None:
        if not failed and (folder / "failed").exists():
            deadline, failed = min(deadline, time.monotonic() + _GRACE), True
        if time.monotonic() > deadline:
            return failed
        time.sleep(0.05)
    return True


def _end(worker: subprocess.Popen[bytes]) -> None:
    if worker.poll() is None:
        if hasattr(os, "killpg"):
            os.killpg(worker.pid, signal.SIGKILL)
        worker.kill()
        worker.wait()


def _notes(path: Path) -> Mapping[str, Any]:
    try:
        notes: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # it died before it wrote any
        return {}
    return notes


def _tail(path: Path) -> str:
    if not path.exists():
        return ""
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return "\n".join(lines[-8:])
