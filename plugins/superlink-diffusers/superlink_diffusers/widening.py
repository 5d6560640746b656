"""A model that makes pictures of words, made one that edits."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from .family import Family

__all__ = ["widen"]


@torch.no_grad()
def widen(model: Any, family: Family, latents: int, further: int) -> bool:
    """Give a model the input channels for the source image that it lacks, whose weights are zero as
    in InstructPix2Pix (arXiv 2211.09800), and say whether it lacked any.

    Args:
        model: Of diffusers; it is changed.
        family: Its kind.
        latents: Channels of the autoencoder.
        further: Channels beside latents and source.
    """
    wanted = 2 * latents * family.packing**2 + further
    missing = wanted - model.config.in_channels
    if not missing:
        return False
    layer = model.get_submodule(family.input_layer)
    old = layer.weight
    zeros = old.new_zeros(old.shape[0], missing, *old.shape[2:])
    layer.weight = nn.Parameter(torch.cat([old, zeros], dim=1))
    setattr(layer, "in_channels" if isinstance(layer, nn.Conv2d) else "in_features", wanted)
    model.register_to_config(in_channels=wanted)
    return True
