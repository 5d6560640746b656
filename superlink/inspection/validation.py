"""What is wrong in a set: items that its reader left out, and records that cannot be read whole."""

from __future__ import annotations

import multiprocessing
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..data import Dialogue, EditedImage, InContextImages, Problem
from ..data.schema import ImageRecord
from ..errors import ConfigError, InputError, MissingDependencyError, SuperLinkError
from ..interfaces import open_image

__all__ = ["Finding", "check_records", "left_out", "read_record"]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong."""

    file: str
    """Where it stands."""
    item: str
    """Which item of it, as `annotation 17` or `record 3`."""
    reason: str
    """What kind of thing it is: without names and numbers, the same for the same kind."""
    message: str
    """All that is known of it."""
    harmless: bool = False
    """Whether nothing is lost with it."""

    def to_json(self) -> dict[str, Any]:
        """The finding in plain JSON types."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.item} in {self.file}: {self.message}"


def left_out(problems: Sequence[Problem]) -> list[Finding]:
    """What a reader left out when it opened its set."""
    return [Finding(p.file, p.item, p.reason, p.reason, p.harmless) for p in problems]


def read_record(records: Sequence[Any], index: int, source: str = "") -> Any:
    """The record at `index`, or a `Finding` where it cannot be read.

    Raises:
        MissingDependencyError: Nothing is wrong with the record; a package is missing.
    """
    try:
        return records[index]
    except MissingDependencyError:
        raise
    except Exception as error:  # a reader of a third party may raise anything
        return _finding(source, f"record {index}", error)


def check_record(records: Sequence[Any], index: int, source: str = "") -> Finding | None:
    """Read a record and its images; None where all is well."""
    record = read_record(records, index, source)
    if isinstance(record, Finding):
        return record
    item = f"record {index}"
    shown = record.images if isinstance(record, InContextImages) else (record,)
    for one in shown:
        if isinstance(one, ImageRecord):
            try:
                one.open()
            except InputError as error:
                return _finding(one.source, f"{item} ({record.key})", error)
    further: Sequence[Any] = record.images if isinstance(record, Dialogue) else ()
    for image in (record.edited,) if isinstance(record, EditedImage) else further:
        try:
            open_image(image)
        except InputError as error:
            file = str(image) if isinstance(image, Path) else source
            return _finding(file, f"{item} ({record.key})", error)
    return None


def check_records(
    records: Sequence[Any], indices: Sequence[int], *, workers: int = 0, source: str = ""
) -> Iterator[Finding | None]:
    """Read records with their images and masks, one finding or None for each, in order.

    Args:
        records: What a reader returned.
        indices: Which of them.
        workers: Processes that read; 0 reads in this one.
        source: How a record that cannot be read calls the set that it is of.

    Raises:
        ConfigError: The records cannot be sent to other processes.
        InputError: A process died.
    """
    if not workers:
        yield from (check_record(records, index, source) for index in indices)
        return
    # Spawned, as torch has threads by now that a forked process would miss.
    context = multiprocessing.get_context("spawn")
    chunk = max(1, min(64, len(indices) // (4 * workers)))
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=_start_worker, initargs=(_packed(records), source)
    ) as pool:
        try:
            yield from pool.map(_check_in_worker, indices, chunksize=chunk)
        except BrokenProcessPool as error:
            raise InputError(
                "A worker process died: it was out of memory, or a record crashes what decodes it. "
                f"Received: workers={workers}. Use fewer workers; with 0 the crash is seen."
            ) from error


def reason_of(message: str) -> str:
    """The first sentence of an error, an ellipsis in the place of every name and number."""
    bare = _SPECIFIC.sub("…", message)
    first = bare.split(". ")[0].strip(" .…:,")
    return first[:1].lower() + first[1:] if first[1:2].islower() else first


_SPECIFIC = re.compile(r"(?<!\w)'[^']*'|\"[^\"]*\"|[^\s:,;]*[/\\][^\s:,;]*|-?\d+(\.\d+)?")
_in_worker: dict[str, Any] = {}


def _finding(file: str, item: str, error: Exception) -> Finding:
    known = isinstance(error, SuperLinkError)
    message = str(error) if known else f"{type(error).__name__}: {error}"
    return Finding(file, item, reason_of(message), message)


def _packed(records: Sequence[Any]) -> bytes:
    """Pickled once, however many processes get it."""
    from multiprocessing.reduction import ForkingPickler

    try:
        return bytes(ForkingPickler.dumps(records))
    except Exception as error:  # pickle raises whatever the object does
        raise ConfigError(
            f"The records cannot be sent to worker processes: {error}. Received: "
            f"{type(records).__name__}. Leave --workers out."
        ) from error


def _start_worker(packed: bytes, source: str) -> None:
    import pickle

    import torch

    torch.set_num_threads(1)
    _in_worker.update(records=pickle.loads(packed), source=source)


def _check_in_worker(index: int) -> Finding | None:
    return check_record(_in_worker["records"], index, _in_worker["source"])
