"""Weights stored in 16 bits and computed with in 32: half the disk for a model that is shipped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..errors import CheckpointError

__all__ = ["halve_files", "rounded"]


def rounded(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights as they come back from a folder that was halved.

    Raises:
        CheckpointError: A number is too large for 16 bits.
    """
    return {name: _stored(name, tensor).to(tensor.dtype) for name, tensor in weights.items()}


def halve_files(folder: Path) -> None:
    """Write the float32 matrices of all safetensors below `folder` again, as float16.

    Vectors stay: statistics of normalisation layers have a range that 16 bits do not.
    """
    for path in sorted(folder.rglob("*.safetensors")):
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
            tensors = {name: _stored(name, file.get_tensor(name)) for name in file.keys()}
        save_file(tensors, path, metadata)


def _stored(name: str, tensor: Tensor) -> Tensor:
    if tensor.dtype != torch.float32 or tensor.dim() < 2:
        return tensor
    halved = tensor.detach().half()
    if tensor.isfinite().all() and not halved.isfinite().all():
        raise CheckpointError(
            f"Expected weights of at most {torch.finfo(torch.float16).max:.0f}, to be stored in 16 "
            f"bits. Received: {float(tensor.abs().max()):.3g} in {name}. Save the model in 32 bits."
        )
    return halved
