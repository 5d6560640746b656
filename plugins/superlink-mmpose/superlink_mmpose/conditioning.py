"""Where the states of routes meet the crops: what is looked for, and whether it is there."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["BoxScore", "KeypointFilter", "PointStates"]


class PointStates(nn.Module):
    """What is looked for in a crop: a keypoint, of an instance.

    Args:
        dims: Width E of all states.
    """

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.of_point = nn.Linear(dims, dims)
        self.of_instance = nn.Linear(dims, dims)
        self.norm = nn.LayerNorm(dims)

    def forward(self, instances: Tensor, points: Tensor, mask: Tensor) -> Tensor:
        """Join states of instances (M, E) and of keypoints (M, K, E) to (M, K, E); zeros where
        `mask` (M, K) is false."""
        joined: Tensor = self.norm(self.of_point(points) + self.of_instance(instances)[:, None])
        return joined.masked_fill(~mask[..., None], 0.0)


class KeypointFilter(nn.Module):
    """Responses (M, K, h, w) of maps (M, C, h, w) to points (M, K, E).

    A convolution to E channels, of which each point picks its mixture: with one fixed point for
    each channel it is the last convolution of mmpose's heads. A point of zeros gives zeros.

    Args:
        in_channels: C.
        dims: E.
        kernel_size: Of the convolution; odd.
    """

    def __init__(self, in_channels: int, dims: int, kernel_size: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, dims, kernel_size, padding=kernel_size // 2)

    def forward(self, maps_and_points: tuple[Tensor, Tensor]) -> Tensor:
        """Maps and points come as a pair: mmpose's heads hand one argument over."""
        maps, points = maps_and_points
        return torch.einsum("mehw,mke->mkhw", self.conv(maps), points)


class BoxScore(nn.Module):
    """Tells from its map whether a crop shows what a route asks for.

    Args:
        in_channels: Channels C of the map.
        dims: Width E of the states.
    """

    def __init__(self, in_channels: int, dims: int) -> None:
        super().__init__()
        self.wanted = nn.Linear(dims, in_channels)
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, maps: Tensor, instances: Tensor) -> Tensor:
        """The logits (M,) of maps (M, C, h, w) for states (M, E)."""
        seen = maps.mean((2, 3))
        logits: Tensor = (seen * self.wanted(instances)).sum(-1) / maps.shape[1] ** 0.5 + self.bias
        return logits
