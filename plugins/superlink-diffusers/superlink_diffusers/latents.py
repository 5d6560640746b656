"""Pictures as latents, in the scale that a diffusion model wants."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["decode", "encode", "scaled"]


@torch.no_grad()
def encode(vae: nn.Module, images: Tensor, dtype: torch.dtype) -> Tensor:
    """Latents (N, C, h, w) in float32 of pictures (N, 3, H, W) between -1 and 1, as an autoencoder
    gives them.

    They are the most likely ones: beside the noise that follows, their spread is small.

    Args:
        vae: The autoencoder.
        images: The pictures.
        dtype: Of its weights.
    """
    run: Any = vae
    with torch.autocast(images.device.type, enabled=False):
        found = run.encode(images.to(dtype))
    spread = getattr(found, "latent_dist", None)
    # Without a spread the classes of diffusers call them one or the other.
    plain: Any = getattr(found, "latent", getattr(found, "latents", None))
    latents: Tensor = plain if spread is None else spread.mode()
    return latents.float()


@torch.no_grad()
def decode(vae: nn.Module, latents: Tensor, dtype: torch.dtype) -> Tensor:
    """Pictures (N, 3, H, W) between -1 and 1 of what `encode` gave."""
    run: Any = vae
    with torch.autocast(latents.device.type, enabled=False):
        found: Tensor = run.decode(latents.to(dtype), return_dict=False)[0]
    return found.float().clamp(-1, 1)


def scaled(latents: Tensor, vae: nn.Module, *, shifted: bool) -> Tensor:
    """What `encode` gives, as the diffusion model wants it; `shifted` says whether the pipelines of
    its family know of a shift."""
    settings: Any = vae.config
    shift = float(settings.shift_factor) if shifted else 0.0
    return (latents - shift) * float(settings.scaling_factor)
