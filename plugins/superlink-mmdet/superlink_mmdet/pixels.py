"""Embeddings of the pixels of an image, which masks are made of (as in arXiv 2206.02777)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from .config import QueryDetectorConfig
from .library import ConvModule, DetDataSample, point_sample
from .ragged import Size, joined, own_size

__all__ = ["PixelEmbedding", "PixelMap"]


@dataclass(frozen=True)
class PixelMap:
    """The embeddings of a batch."""

    values: Tensor
    """(B, C, H, W), zeros beyond an image."""
    sizes: tuple[Size, ...]
    """For each image the height and width of its own part."""

    def of(self, image: int) -> Tensor:
        """The embeddings (C, h, w) of one image."""
        height, width = self.sizes[image]
        return self.values[image, :, :height, :width]

    def at(self, points: Tensor) -> Tensor:
        """Embeddings (B, C, K) at `points` (B, K, 2), x and y as shares of their images."""
        height, width = self.values.shape[-2:]
        sizes = points.new_tensor(self.sizes).flip(1)  # (B, 2) w, h
        shares = sizes / sizes.new_tensor([width, height])
        sampled: Tensor = point_sample(self.values, points * shares[:, None])
        return sampled


class PixelEmbedding(nn.Module):
    """Adds the encoder's memory to a finer map, and embeds each cell of the sum.

    Each size of image runs alone: padding would leak in through convolutions and group norms.
    """

    def __init__(self, config: QueryDetectorConfig) -> None:
        super().__init__()
        dims, width = config.mask_dims, config.embed_dims
        self.lateral = None
        if config.mask_channels is not None:
            self.lateral = ConvModule(
                config.mask_channels, width, 1, norm_cfg=_norm(width), act_cfg=None
            )
        self.output = ConvModule(width, dims, 3, padding=1, norm_cfg=_norm(dims))
        self.embed = nn.Conv2d(dims, dims, 1)

    def forward(
        self, memory: Tensor, fine: Tensor | None, samples: Sequence[DetDataSample]
    ) -> PixelMap:
        """Embed a batch.

        Args:
            memory: (B, C, h, w) the finest level of the encoder.
            fine: (B, mask_channels, H, W), where there is such a map.
            samples: What tells the size of each image, and of the batch.
        """
        maps = (memory,) if fine is None else (memory, fine)
        sizes = tuple(_size_in(sample, maps[-1]) for sample in samples)
        if len(set(sizes)) == 1:
            return PixelMap(self._embed(*maps), sizes)
        single = [
            self._embed(*(_own_part(one[index : index + 1], sample) for one in maps))
            for index, sample in enumerate(samples)
        ]
        return PixelMap(joined(single), sizes)

    def _embed(self, memory: Tensor, fine: Tensor | None = None) -> Tensor:
        """(B, mask_dims, H, W) of images of one size."""
        if fine is not None and self.lateral is not None:
            memory = functional.interpolate(
                memory, size=fine.shape[-2:], mode="bilinear", align_corners=False
            )
            memory = memory + self.lateral(fine)
        embedded: Tensor = self.embed(self.output(memory))
        return embedded


def _norm(channels: int) -> dict[str, object]:
    """32 groups, as published, but at least four channels in each."""
    return {"type": "GN", "num_groups": math.gcd(32, channels // 4)}


def _size_in(sample: DetDataSample, cells: Tensor) -> Size:
    return own_size(sample.img_shape, sample.batch_input_shape, tuple(cells.shape[-2:]))


def _own_part(cells: Tensor, sample: DetDataSample) -> Tensor:
    height, width = _size_in(sample, cells)
    return cells[..., :height, :width]
