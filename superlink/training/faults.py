"""Samples that cannot be made: which faults are the data's, and how an error names its record."""

from __future__ import annotations

import traceback
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ..errors import InputError, PluginError, SuperLinkError
from ..interfaces import Sample

__all__ = ["FAULTS_OF_DATA", "BadSample", "Origin", "StageSample", "explained"]

FAULTS_OF_DATA = (InputError, OSError, EOFError, UnicodeError)
"""What files and annotations are to blame for, PIL's `UnidentifiedImageError` included. Everything
else is a mistake in code, and ends a stage under any policy."""


@dataclass(frozen=True)
class BadSample:
    """Stands in the place of a sample that could not be made."""

    message: str
    """Which record it was, and what is wrong with it."""


@dataclass(frozen=True)
class Origin:
    """The record that a sample was made of, for errors."""

    number: int | None = None
    """Of the record in its data set, from 0; None where nobody knows."""
    source: str = ""
    """Name of the data set, where it has one."""
    details: tuple[tuple[str, str], ...] = ()
    """What else tells the record: its key, its file."""

    @classmethod
    def of(cls, number: int, source: str, record: object = None) -> Origin:
        """Where record `number` of a data set stands; `record` is None where it cannot be read."""
        images = (getattr(record, "image", None), *(getattr(record, "images", None) or ()))
        files = (("file", str(image)) for image in images if isinstance(image, str | Path))
        return cls(number, source, (("key", str(getattr(record, "key", ""))), *files))

    def __str__(self) -> str:
        record = "A sample" if self.number is None else f"Record {self.number}"
        return record + (f" of the data set {self.source!r}" if self.source else "")

    def beside(self, message: str) -> str:
        """The record, with the details that a message does not tell."""
        missing = [f"{name}={v!r}" for name, v in self.details if v and v not in message]
        return f"{self} ({', '.join(missing)})" if missing else str(self)


@dataclass(frozen=True)
class StageSample(Sample):
    """A sample that knows its record."""

    origin: Origin = field(default_factory=Origin)
    """The record."""

    @classmethod
    def of(cls, sample: Sample, key: str, origin: Origin) -> StageSample:
        """`sample` under another key."""
        values: dict[str, Any] = {f.name: getattr(sample, f.name) for f in fields(Sample)}
        return cls(**{**values, "key": key}, origin=origin)


def explained(error: Exception, origin: Origin) -> SuperLinkError:
    """An error that names the record which could not be used, and says whose mistake it is.

    Returns:
        One of the same kind for an error of superlink, `InputError` for other faults of the data,
        `PluginError` for all else. Its cause is for the caller to set.
    """
    reason = str(error) if isinstance(error, SuperLinkError) else f"{type(error).__name__}: {error}"
    record = origin.beside(reason)
    if isinstance(error, (SuperLinkError, *FAULTS_OF_DATA)):
        return _kind(error)(f"{record} cannot be used. {reason}")
    last = traceback.extract_tb(error.__traceback__)[-1]
    return PluginError(
        f"{record} made {last.name} fail, in {last.filename}, line {last.lineno}. {reason}. A "
        "reader, a conversation factory or a decoder has a mistake, or does not expect such a "
        "record."
    )


def _kind(error: Exception) -> type[SuperLinkError]:
    """The nearest class of superlink's own: a plugin's may want other arguments."""
    if not isinstance(error, SuperLinkError):
        return InputError
    own = SuperLinkError.__module__
    return next(k for k in type(error).__mro__ if k.__module__ == own)
