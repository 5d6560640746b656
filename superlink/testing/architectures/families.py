"""What single architectures need beyond the general rules: corrections, read from YAML files."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from ...errors import ConfigError

__all__ = ["ARCHITECTURES", "Family", "families", "family_of", "refused"]

ARCHITECTURES: tuple[str, ...] = tuple(sorted(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES))
"""Keys of all image-text-to-text architectures that the installed transformers knows."""

_FILES = ("families_a_e", "families_f_i", "families_j_o", "families_p_z")


class Family(BaseModel):
    """Corrections of one architecture; an architecture that follows the rules has no entry."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: dict[str, Any] = Field(default_factory=dict)
    """Merged into the shrunk configuration. A text that is a special token becomes its id, and
    `$vocab_size` the size of the vocabulary."""
    drop: tuple[str, ...] = ()
    """Dotted paths of fields that the configuration shall derive by itself."""
    attention: str | None = None
    """Attention kernel; None takes sdpa where the model supports it."""
    pixels: str | None = None
    """Layout of the pixel tensors; None chooses one by the arguments of the model's forward."""
    format: dict[str, Any] = Field(default_factory=dict)
    """Fields of `PixelFormat` that the model's configuration does not tell."""
    initialise: str | None = None
    """Function of `special.py`, called with the model after its random initialisation."""
    refused: str | None = None
    """Why it cannot be built here."""
    known: dict[str, str] = Field(default_factory=dict)
    """Name of a check of `superlink.testing` to the reason why the architecture cannot pass it."""


@cache
def families() -> dict[str, Family]:
    """All entries of the YAML files, by architecture."""
    package = files(__package__)
    entries: dict[str, Family] = {}
    for name in _FILES:
        text = package.joinpath(f"{name}.yaml").read_text(encoding="utf-8")
        read = yaml.safe_load(text) or {}
        entries |= {key: Family(**(value or {})) for key, value in read.items() if key[0] != "."}
    return entries


def family_of(architecture: str) -> Family:
    """Corrections of an architecture.

    Raises:
        ConfigError: transformers has no such architecture.
    """
    if architecture not in ARCHITECTURES:
        raise ConfigError(
            "Expected an image-text-to-text architecture of transformers. "
            f"Received: architecture={architecture!r}. Choose from {', '.join(ARCHITECTURES)}."
        )
    return families().get(architecture, Family())


def refused(architecture: str) -> str | None:
    """Why an architecture cannot be built offline here; None where it can."""
    return family_of(architecture).refused
