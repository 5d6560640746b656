"""Batches of decoders hold tensors at any depth; this moves them all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..interfaces import DecoderInputs

__all__ = ["to_device"]


def to_device(value: Any, device: torch.device) -> Any:
    """`value` with every tensor inside of it on `device`."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        moved = {key: to_device(item, device) for key, item in value.items()}
        return DecoderInputs(moved) if isinstance(value, DecoderInputs) else moved
    if isinstance(value, list | tuple):
        return type(value)(to_device(item, device) for item in value)
    return value
