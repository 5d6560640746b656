"""What the built-in scenes are read as beside annotated images: counts, expressions, captions."""

from __future__ import annotations

from typing import TypeVar

from ...errors import ConfigError
from ..records import Records
from .dataset import SceneDataset

__all__ = ["SceneReading", "check_share"]

Record = TypeVar("Record", covariant=True)


class SceneReading(Records[Record]):
    """One record for each scene; a subclass makes it in `record`."""

    def __init__(self, scenes: SceneDataset) -> None:
        self.scenes = scenes
        self.problems = scenes.problems

    def __len__(self) -> int:
        return len(self.scenes)


def check_share(name: str, value: float) -> None:
    """Raise where an option is no share.

    Raises:
        ConfigError: `value` is not from 0 to 1.
    """
    if not 0 <= value <= 1:
        raise ConfigError(f"{name} is a share from 0 to 1. Received: {name}={value}")
