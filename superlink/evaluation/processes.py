"""The processes that one evaluation runs on; accelerate joins them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import MissingDependencyError

__all__ = ["Processes", "started_processes"]


@dataclass(frozen=True)
class Processes:
    """This process among those that work together."""

    rank: int = 0
    """Which one this is, from 0."""
    local_rank: int = 0
    """Which one on its machine: the number of its GPU."""
    count: int = 1
    """How many there are."""
    wait: Callable[[], None] = lambda: None
    """Returns when all have called it."""


def started_processes() -> Processes:
    """What `accelerate launch` started; without a launcher this process alone.

    Raises:
        MissingDependencyError: There are several, and accelerate is not installed.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return Processes()
    try:
        from accelerate import PartialState  # of an extra, and slow to import
    except ImportError as error:
        raise MissingDependencyError(
            "Several processes are joined by accelerate, which is not installed. "
            "Run: pip install 'superlink[eval]'"
        ) from error
    state = PartialState()
    return Processes(
        state.process_index,
        state.local_process_index,
        state.num_processes,
        state.wait_for_everyone,
    )
