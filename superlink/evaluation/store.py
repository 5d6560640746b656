"""Rows of an evaluation on disk, so that it can be shared between processes and interrupted."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..training.changes import changes
from .evaluator import Row
from .processes import Processes

__all__ = ["RowStore"]


class RowStore:
    """The rows of the batches that are done, in files that only grow.

    Every process writes a file of its own, one line for each batch; a line that a kill cut short
    counts as not written.

    Args:
        folder: Where the files lie; made where it is missing.
        identity: What the rows depend on, in JSON types. Rows of something else are refused.
        processes: All of them must see the same folder.

    Raises:
        InputError: The folder holds the rows of another evaluation.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any], processes: Processes) -> None:
        self.folder = folder
        self._processes = processes
        wanted = json.dumps(identity, sort_keys=True)
        if processes.rank == 0:
            _make(folder)
            if not (folder / "identity.json").is_file():
                fresh = folder / f"identity-{uuid.uuid4().hex}.new"
                fresh.write_text(wanted, encoding="utf-8")
                fresh.replace(folder / "identity.json")
        processes.wait()
        self._check(wanted)
        self._done = self._read()
        # Nobody writes before all have read: the processes must agree on what is left to do.
        processes.wait()
        # A name of its own for each start: nobody appends to a line that a kill cut short.
        self._path = folder / f"rows-{uuid.uuid4().hex}.jsonl"

    def left(self, num_batches: int) -> list[int]:
        """The batches that this process has to do."""
        missing = [index for index in range(num_batches) if index not in self._done]
        return missing[self._processes.rank :: self._processes.count]

    def add(self, batch: int, rows: Sequence[Row]) -> None:
        """Keep the rows of a batch."""
        line = json.dumps({"batch": batch, "rows": list(rows)}) + "\n"
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line)
        except OSError as error:
            raise InputError(
                f"Rows cannot be kept in {self.folder}: {error}. Is the disk full, or did another "
                "evaluation in the same folder end and take it away?"
            ) from error

    def gather(self, num_batches: int) -> list[Row]:
        """Wait for all processes; then the rows of all batches in their order."""
        self._processes.wait()
        done = self._read()
        if missing := [index for index in range(num_batches) if index not in done]:
            raise InputError(
                f"Expected the rows of {num_batches} batches in {self.folder}. {len(missing)} are "
                "missing: do all processes see this folder?"
            )
        return [row for index in range(num_batches) for row in done[index]]

    @staticmethod
    def remove_from(folder: Path) -> None:
        """Delete the files of a store and, where nothing else is in them, its folder and the one
        above."""
        for path in (*folder.glob("rows-*.jsonl"), folder / "identity.json"):
            path.unlink(missing_ok=True)
        for emptied in (folder, folder.parent):
            if emptied.is_dir() and not any(emptied.iterdir()):
                emptied.rmdir()

    def _check(self, wanted: str) -> None:
        found = (self.folder / "identity.json").read_text(encoding="utf-8")
        if found != wanted:
            changed = changes(json.loads(found), json.loads(wanted))
            raise InputError(
                f"{self.folder} holds the start of another evaluation; {changed}. Repeat that "
                "command to go on with it, choose another folder, or remove this one."
            )

    def _read(self) -> dict[int, list[Row]]:
        done: dict[int, list[Row]] = {}
        for path in sorted(self.folder.glob("rows-*.jsonl")):
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    entry = json.loads(line)
                except ValueError:
                    continue  # cut short by a kill: its batch is done again
                done[entry["batch"]] = entry["rows"]
        return done


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"Expected a folder that can be written to. Received: {folder} ({error.strerror})"
        ) from error
