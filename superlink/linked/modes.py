"""A model for a while: evaluated, or run so that no trace is left."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

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
    kept = [
        (module, name, buffer, buffer.clone())
        for module in model.modules()
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
    draws = random.getstate(), np.random.get_state()
    accelerators = [device.index or 0] if device.type == "cuda" else []
    try:
        with torch.no_grad(), torch.random.fork_rng(accelerators):
            yield
    finally:
        random.setstate(draws[0])
        np.random.set_state(draws[1])
        for module, name, buffer, before in kept:
            module._buffers[name] = buffer
            buffer.copy_(before)
