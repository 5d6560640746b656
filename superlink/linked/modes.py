"""Evaluation for a while: no dropout, no gradient, and afterwards everything as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

__all__ = ["evaluating"]


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
