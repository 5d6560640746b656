"""Autoencoders that need no training: patches of pixels as channels, all of them or the coarse."""

from __future__ import annotations

from math import pi
from typing import Any

import torch
from diffusers.configuration_utils import FrozenDict
from torch import Tensor, nn
from torch.nn import functional

from superlink.errors import ConfigError

__all__ = ["PixelSpace"]

_COLOUR_STEPS = 2.5
"""A difference of colours counts as much coarser detail than brightness of its frequency is."""


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
        patch: Sides of a patch, a power of 2.
        channels: Of a cell. As many as a patch has values, `3 * patch ** 2`, are its pixels, and
            nothing is lost. Fewer are its cosines of the lowest frequencies, those of brightness
            before those of colour, as JPEG keeps them: squares of errors are the same in cells and
            in what is kept of pixels. None: all.
        scaling_factor: Factor on the values of cells.

    Raises:
        ConfigError: The patch is no power of 2, or has not as many channels.
    """

    def __init__(
        self, patch: int = 4, channels: int | None = None, scaling_factor: float = 1.0
    ) -> None:
        super().__init__()
        if patch < 1 or patch & (patch - 1):
            raise ConfigError(f"The patch of pixels must be a power of 2. Received: patch={patch}")
        most = 3 * patch**2
        kept = most if channels is None else channels
        if not 1 <= kept <= most:
            raise ConfigError(
                f"A patch of {patch} x {patch} pixels has 1 to {most} channels. "
                f"Received: channels={channels}"
            )
        levels = (kept,) * patch.bit_length()
        self.patch = patch
        self.config = FrozenDict(  # type: ignore[no-untyped-call]
            latent_channels=kept,
            scaling_factor=scaling_factor,
            shift_factor=0.0,
            # Pipelines count these to learn how much smaller latents are.
            block_out_channels=levels,
            encoder_block_out_channels=levels,
            force_upcast=False,
        )
        self.register_buffer("place", torch.zeros(()), persistent=False)
        waves = _waves(patch, kept) if kept < most else None
        self.register_buffer("waves", waves, persistent=False)

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
        waves = self.waves
        if not isinstance(waves, Tensor):
            return _Pixels(functional.pixel_unshuffle(images, self.patch))
        return _Pixels(functional.conv2d(images, waves, stride=self.patch))

    def decode(self, latents: Tensor, return_dict: bool = True, **ignored: Any) -> Any:
        """Cells (N, C, h, w) as pictures (N, 3, H, W), in a tuple as pipelines want it."""
        waves = self.waves
        if not isinstance(waves, Tensor):
            return (functional.pixel_shuffle(latents, self.patch),)
        return (functional.conv_transpose2d(latents, waves, stride=self.patch),)

    def enable_tiling(self) -> None:
        """Nothing is to be saved here."""

    def enable_slicing(self) -> None:
        """Nothing is to be saved here."""


def _waves(patch: int, number: int) -> Tensor:
    """(number, 3, patch, patch) patches of length 1, each at right angles to all others: products
    of cosines in brightness and two differences of colour, the coarsest first."""
    steps = torch.arange(patch, dtype=torch.float64)
    lines = torch.cos(pi / patch * torch.outer(steps, steps + 0.5))  # (frequency, place)
    colours = torch.tensor([[1, 1, 1], [1, 0, -1], [1, -2, 1]], dtype=torch.float64)
    lines, colours = (functional.normalize(one, dim=1) for one in (lines, colours))
    waves = torch.einsum("kc,uy,vx->kuvcyx", colours, lines, lines)
    coloured = torch.tensor([0.0, 1.0, 1.0])[:, None, None]
    fineness = steps[:, None] + steps + _COLOUR_STEPS * coloured  # (colour, frequencies)
    order = fineness.flatten().sort(stable=True).indices[:number]
    return waves.flatten(0, 2)[order].float()
