"""What a user asks of single decoders in a reply, beside the prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import ConfigError
from .bound import BoundDecoder

__all__ = ["NO_OPTIONS", "DecoderOptions", "read_options"]

DecoderOptions = Mapping[str, Mapping[str, Any]]
"""By name of a decoder its options by their names."""
NO_OPTIONS: DecoderOptions = {}


def read_options(bound: Mapping[str, BoundDecoder], given: DecoderOptions) -> dict[str, Any]:
    """For each decoder of a model what it makes of the options that it is given.

    Raises:
        ConfigError: A decoder is none of the model's, or does not take one of its options.
    """
    if unknown := sorted(given.keys() - bound.keys()):
        raise ConfigError(
            f"Options are for decoders of the model, which are {', '.join(bound)}. "
            f"Received: {unknown[0]!r}"
        )
    return {name: one.decoder.read_options(given.get(name, {})) for name, one in bound.items()}
