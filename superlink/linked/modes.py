"""A model for a while: evaluated, or run so that no trace is left."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["evaluating", "untouched"]


@contextmanager
def evaluating(model: nn.Module, *, gradients: bool = False) -> Iterator[None]:
    """In evaluation mode inside of the `with` block; then each module is what it was.

    Args:
        model: The model.
        gradients: Whether they may be taken inside.
    """
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.set_grad_enabled(gradients):
            yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def untouched(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Leave no trace of what runs in the `with` block: no gradient, the buffers of the model, as
    the statistics of BatchNorm, and the state of random numbers are as they were.

    Args:
        model: The model.
        device: Where it runs.
    """
    kept = [(module, _copies(module)) for module in model.modules()]
    draws = random.getstate(), np.random.get_state()
    accelerators = [device.index or 0] if device.type == "cuda" else []
    try:
        with torch.no_grad(), torch.random.fork_rng(accelerators):
            yield
    finally:
        random.setstate(draws[0])
        np.random.set_state(draws[1])
        with torch.no_grad():
            for module, buffers in kept:
                _put_back(module, buffers)


def _copies(module: nn.Module) -> dict[str, tuple[Tensor | None, Tensor | None]]:
    """The buffers of a module itself by name, each with a copy."""
    return {
        name: (buffer, None if buffer is None else buffer.detach().clone())
        for name, buffer in module._buffers.items()
    }


def _put_back(module: nn.Module, buffers: dict[str, tuple[Tensor | None, Tensor | None]]) -> None:
    for name in module._buffers.keys() - buffers.keys():
        delattr(module, name)
    for name, (buffer, before) in buffers.items():
        module._buffers[name] = _as_before(buffer, before)


def _as_before(buffer: Tensor | None, before: Tensor | None) -> Tensor | None:
    """The buffer with its old values; their copy where it cannot be written to in place."""
    if buffer is None or before is None:
        return None
    try:
        same = buffer.shape == before.shape
        return buffer if same and torch.equal(buffer, before) else buffer.copy_(before)
    except RuntimeError:  # as made in inference mode, or expanded
        return before
