"""An autoencoder that loses nothing: patches of pixels as channels."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.configuration_utils import FrozenDict
from torch import Tensor, nn
from torch.nn import functional

from superlink.errors import ConfigError

__all__ = ["PixelSpace"]


class _Pixels:
    """What `PixelSpace.encode` gives, as the pipelines of diffusers read it."""

    def __init__(self, latents: Tensor) -> None:
        self.latents = latents
        self.latent_dist = self

    def mode(self) -> Tensor:
        """(N, C, h, w) the one value that there is."""
        return self.latents

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """The same."""
        return self.latents


class PixelSpace(nn.Module):
    """Stands where pipelines want an autoencoder, and has what they ask of one.

    Args:
        patch: Sides of a patch, a power of 2; a cell has `3 * patch ** 2` channels.
        scaling_factor: Factor on the values of cells.

    Raises:
        ConfigError: The patch is no power of 2.
    """

    def __init__(self, patch: int = 4, scaling_factor: float = 1.0) -> None:
        super().__init__()
        if patch < 1 or patch & (patch - 1):
            raise ConfigError(f"The patch of pixels must be a power of 2. Received: patch={patch}")
        levels = (3 * patch**2,) * patch.bit_length()
        self.patch = patch
        self.config = FrozenDict(  # type: ignore[no-untyped-call]
            latent_channels=levels[0],
            scaling_factor=scaling_factor,
            shift_factor=0.0,
            # Pipelines count these to learn how much smaller latents are.
            block_out_channels=levels,
            encoder_block_out_channels=levels,
            force_upcast=False,
        )
        self.register_buffer("place", torch.zeros(()), persistent=False)

    @property
    def dtype(self) -> torch.dtype:
        """Of the values that it is given."""
        return self.get_buffer("place").dtype

    @property
    def device(self) -> torch.device:
        """Where it was moved to."""
        return self.get_buffer("place").device

    def encode(self, images: Tensor) -> _Pixels:
        """Pictures (N, 3, H, W) as cells (N, C, h, w)."""
        return _Pixels(functional.pixel_unshuffle(images, self.patch))

    def decode(self, latents: Tensor, return_dict: bool = True, **ignored: Any) -> Any:
        """Cells (N, C, h, w) as pictures (N, 3, H, W), in a tuple as pipelines want it."""
        return (functional.pixel_shuffle(latents, self.patch),)

    def enable_tiling(self) -> None:
        """Nothing is to be saved here."""

    def enable_slicing(self) -> None:
        """Nothing is to be saved here."""
