"""Parts of diffusers from a folder or from the Hugging Face Hub."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch

from superlink.errors import CheckpointError, ConfigError

__all__ = ["Place", "load_class", "load_part"]

_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_FAILURES = (OSError, ValueError, RuntimeError)


@dataclass(frozen=True)
class Place:
    """Where weights lie."""

    source: str
    """A folder in the layout of diffusers, or an id on the Hub."""
    dtype: torch.dtype
    """In which precision they are wanted."""
    revision: str | None = None
    """Branch, tag or commit on the Hub."""
    variant: str | None = None
    """Of several sets of weights the one with this suffix."""

    def __post_init__(self) -> None:
        if not Path(self.source).is_dir() and not _ID.fullmatch(self.source):
            raise CheckpointError(
                "A source is a folder that DiffusionPipeline.save_pretrained wrote, or an id on "
                f"the Hugging Face Hub. Received: {self.source!r}, where there is no folder. If a "
                "checkpoint names one that was moved, change source in its config.json"
            )

    @property
    def cure(self) -> str:
        """What to do where something is missing."""
        if Path(self.source).is_dir():
            return f"Look whether {self.source} was copied whole"
        return (
            "There is no such folder, and nothing of that id in the cache of the Hub. Run: hf "
            f"download {self.source}. Without a network, run it elsewhere, and let source be a "
            "copy of the folder that it prints"
        )


def load_class(name: Any, what: str) -> Any:
    """A class of diffusers by its name.

    Raises:
        ConfigError: It has none of that name.
    """
    found = getattr(diffusers, name, None) if isinstance(name, str) else None
    if not isinstance(found, type):
        raise ConfigError(
            f"{what} needs the name of a class of diffusers {diffusers.__version__} as its type. "
            f"Received: {name!r}"
        )
    return found


def load_part(place: Place, folder: str | None, wanted: str | None = None) -> Any:
    """One part of a source.

    Args:
        place: Where it lies.
        folder: That of the part; None where the source itself is the part.
        wanted: Name of the class that it must be.

    Raises:
        CheckpointError: There is no such repository, or it lacks the part, or a part of it.
        ConfigError: The part is of another class.
    """
    scheduler = folder == "scheduler"
    reader: Any = diffusers.DDIMScheduler if scheduler else diffusers.AutoencoderKL
    try:
        kind = reader.load_config(place.source, subfolder=folder, revision=place.revision).get(
            "_class_name"
        )
    except _FAILURES as error:
        raise CheckpointError(
            f"{place.source} has no {folder or 'part'} that can be read{_pipeline(place)}. "
            f"{place.cure}. Received: {error}"
        ) from error
    if wanted is not None and kind != wanted:
        raise ConfigError(
            f"The family wants a {wanted}. Received: {kind} in {place.source}{_pipeline(place)}. "
            "Choose the family of that model"
        )
    how: dict[str, Any] = {"subfolder": folder, "revision": place.revision}
    if not scheduler:
        how |= {"variant": place.variant, "dtype": place.dtype}
    try:
        return load_class(kind, f"The {folder or 'part'} of {place.source}").from_pretrained(
            place.source, **how
        )
    except _FAILURES as error:
        raise CheckpointError(
            f"The {folder or 'part'} of {place.source} cannot be read. {place.cure}. "
            f"Received: variant={place.variant!r}: {error}"
        ) from error


def _pipeline(place: Place) -> str:
    """Of which pipeline a source is the whole, for a message."""
    try:
        index = diffusers.DiffusionPipeline.load_config(place.source, revision=place.revision)
    except _FAILURES:
        return ""
    return f", which is a {index.get('_class_name')}"
