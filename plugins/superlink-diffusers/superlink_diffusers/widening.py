"""A model that makes pictures of words, made one that edits."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from .family import Family

__all__ = ["widen"]


@torch.no_grad()
def widen(model: Any, family: Family, latents: int) -> bool:
    """Give a model a second set of input channels, for the source image, whose weights are zero as
    in InstructPix2Pix (arXiv 2211.09800), and say whether it had none yet.

    Args:
        model: Of diffusers; it is changed.
        family: Its kind.
        latents: Channels of the autoencoder.
    """
    cells = latents * family.packing**2
    if model.config.in_channels == 2 * cells:
        return False
    layer = model.get_submodule(family.input_layer)
    layer.weight = nn.Parameter(torch.cat([layer.weight, torch.zeros_like(layer.weight)], dim=1))
    setattr(layer, "in_channels" if isinstance(layer, nn.Conv2d) else "in_features", 2 * cells)
    model.register_to_config(in_channels=2 * cells)
    return True
