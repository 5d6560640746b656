"""A sequence of records that are made when they are asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar, overload

from .problems import Problems

__all__ = ["Records"]

Record = TypeVar("Record", covariant=True)


class Records(Sequence[Record], ABC, Generic[Record]):
    """Base of what readers return.

    Opening one checks what can be checked without the pixels; images and masks are decoded with
    their record, so that a worker process does it.
    """

    problems: Problems
    """What was left out when the set was opened."""

    @abstractmethod
    def record(self, index: int) -> Record:
        """The record at `index`, from 0 to `len(self) - 1`.

        Raises:
            InputError: What belongs to this record cannot be read.
        """

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> list[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | list[Record]:
        if isinstance(index, slice):
            return [self.record(i) for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"record {index} of {len(self)}")
        return self.record(index % len(self))
