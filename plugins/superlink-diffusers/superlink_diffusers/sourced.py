"""UNets that edit: what they see of the source image beside its latents, and where they keep it."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from typing import Any

import torch
from diffusers.configuration_utils import FrozenDict
from torch import Tensor, nn
from torch.nn import functional

from .config import MAP_WIDTH

__all__ = ["SourceMaps", "SourcedModel", "blended", "changes"]

_NORM_GROUPS = 8


class SourceMaps(nn.Module):
    """Brings maps of the LLM's image encoder to the cells of latents: an encoder that was trained
    on millions of images knows what is where, which the error of pictures teaches slowly.

    Args:
        channels: Of each map.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(map(_level, channels))

    def forward(self, maps: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        """The sum of maps (N, C, H, W), each with channels of its own, as (N, MAP_WIDTH, *size)."""
        brought = [
            # Without a copy in the usual order the backward of GroupNorm crashes on some maps.
            functional.interpolate(level(one.to(_kind(level)).contiguous()), size=tuple(size))
            for level, one in zip(self.levels, maps, strict=True)
        ]
        return torch.stack(brought).sum(0)


def _level(channels: int) -> nn.Module:
    groups = gcd(channels, _NORM_GROUPS) if channels > _NORM_GROUPS else 1
    return nn.Sequential(nn.GroupNorm(groups, channels), nn.Conv2d(channels, MAP_WIDTH, 1))


def _kind(module: nn.Module) -> torch.dtype:
    return next(module.parameters()).dtype


def blended(found: Tensor, source: Tensor) -> Tensor:
    """The source (R, C, h, w) in cells without a pixel that changes, and elsewhere a prediction.

    Args:
        found: (R, C + f * f, h, w): the prediction, and logits of changes of the f * f pixels of a
            cell.
        source: (R, C, h, w) latents of the source, in the scale of those predicted.
    """
    channels = source.shape[1]
    share = found[:, channels:].amax(1, keepdim=True).sigmoid()
    return torch.lerp(source, found[:, :channels], share)


def changes(found: Tensor, channels: int) -> Tensor:
    """(R, H, W) the logits of changes, of each pixel, in what a model with C `channels` found."""
    logits = found[:, channels:]
    return functional.pixel_shuffle(logits, round(logits.shape[1] ** 0.5))[:, 0]


class SourcedModel(nn.Module):
    """A UNet with maps of its sources, or one that blends, as a pipeline which knows of neither
    runs it.

    Args:
        model: The UNet.
        channels: Of the latents of a picture.
        maps: (R, MAP_WIDTH, h, w) of the sources, if it takes any.
        scale: If it blends, the factor from latents of sources to those that it predicts.
    """

    def __init__(
        self, model: nn.Module, channels: int, maps: Tensor | None, scale: float | None
    ) -> None:
        super().__init__()
        self.model = model
        settings: Any = model.config
        asked = {**settings, "in_channels": 2 * channels, "out_channels": channels}
        self.config = FrozenDict(asked)  # type: ignore[no-untyped-call]
        self.channels, self.maps, self.scale = channels, maps, scale
        self.changed: Tensor | None = None
        """(N, H, W) how much of a pixel is the model's, if it blends: all of one that was, at the
        last step, as likely to change as not. With guidance the first third has seen condition and
        source."""

    @property
    def dtype(self) -> torch.dtype:
        """That of the UNet."""
        return next(self.model.parameters()).dtype

    @property
    def device(self) -> torch.device:
        """That of the UNet."""
        return next(self.model.parameters()).device

    @property
    def add_embedding(self) -> nn.Module:
        """That of the UNet, which the pipeline of SDXL looks into."""
        return self.model.get_submodule("add_embedding")

    def forward(self, sample: Tensor, *arguments: Any, **named: Any) -> Any:
        """Run it on (N, 2C, h, w); with guidance each source comes three times, the last of them
        without its image, which a model that blends does not count."""
        joined = sample
        if self.maps is not None:
            times = len(sample) // len(self.maps)
            copies = [self.maps] * min(times, 2) + [torch.zeros_like(self.maps)] * (times - 2)
            joined = torch.cat([sample, torch.cat(copies).to(sample)], dim=1)
        found = self.model(joined, *arguments, **named)
        if self.scale is None:
            return found
        self.changed = (2 * changes(found[0], self.channels).sigmoid()).clamp(max=1)
        source = self.scale * sample[:, self.channels :]
        return (blended(found[0], source), *found[1:])
