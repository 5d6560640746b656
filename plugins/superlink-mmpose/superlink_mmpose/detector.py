"""Grounding DINO that goes on to keypoints: an image and link features in, groups out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from superlink_mmdet.grounding_dino import LinkGroundingDINO
from superlink_mmdet.head_settings import box_assigner
from superlink_mmdet.library import DetDataSample
from superlink_mmdet.settings import grounding_dino_settings

from .config import GroupPoseConfig
from .head import PoseHead

__all__ = ["PoseDetector"]


class PoseDetector(LinkGroundingDINO):
    """Finds instances, and hands the image to the groups of their keypoints."""

    def __init__(self, config: GroupPoseConfig) -> None:
        super().__init__(config)
        channels = config.fine_channels
        self.fine = None if channels is None else _FineLevel(channels, config.embed_dims)

    @classmethod
    def settings(cls, config: GroupPoseConfig) -> dict[str, Any]:
        """The keyword arguments of mmdet's `GroundingDINO`."""
        settings = grounding_dino_settings(config, PoseHead)
        settings["bbox_head"] |= {"pose": config, "box_assigner": box_assigner(config)}
        return settings

    def read_memory(
        self,
        features: tuple[Tensor, ...],
        memory: Tensor,
        places: dict[str, Any],
        samples: Sequence[DetDataSample],
    ) -> dict[str, Any]:
        """The image as groups want it: the encoded levels, and before them the finer map."""
        image = {
            "value": memory,
            "key_padding_mask": places["memory_mask"],
            "spatial_shapes": places["spatial_shapes"],
            "level_start_index": places["level_start_index"],
            "valid_ratios": places["valid_ratios"],
        }
        return {"memory": image if self.fine is None else self.fine(features[0], image)}


class _FineLevel(nn.Module):
    """Puts one more level, that was not encoded, before those of the encoder."""

    def __init__(self, channels: int, dims: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(channels, dims, 1)
        self.norm = nn.LayerNorm(dims)

    def forward(self, fine: Tensor, image: dict[str, Any]) -> dict[str, Any]:
        """Add the map (B, channels, H, W) to an image of `read_memory`."""
        height, width = fine.shape[-2:]
        cells = self.norm(self.project(fine).flatten(2).mT)  # (B, H * W, C)
        shapes, ratios = image["spatial_shapes"], image["valid_ratios"]
        shapes = torch.cat([shapes.new_tensor([[height, width]]), shapes])
        mask = image["key_padding_mask"]
        if mask is not None:
            mask = torch.cat([_padding(ratios[:, 0], height, width), mask], dim=1)
        return {
            "value": torch.cat([cells, image["value"]], dim=1),
            "key_padding_mask": mask,
            "spatial_shapes": shapes,
            "level_start_index": torch.cat([shapes.new_zeros(1), shapes.prod(1).cumsum(0)[:-1]]),
            # The shares of the finest encoded level: both maps hold the same part of the canvas.
            "valid_ratios": torch.cat([ratios[:, :1], ratios], dim=1),
        }


def _padding(ratios: Tensor, height: int, width: int) -> Tensor:
    """(B, H * W) true on the cells of a map that lie beyond shares of width and height (B, 2)."""
    y = torch.arange(height, device=ratios.device)[:, None] + 0.5
    x = torch.arange(width, device=ratios.device) + 0.5
    beyond = [(y > share[1] * height) | (x > share[0] * width) for share in ratios]
    return torch.stack(beyond).flatten(1)
