"""The settings of the pose decoders."""

from __future__ import annotations

from typing import Self

from pydantic import Field, PositiveInt, model_validator

from superlink_mmdet.config import GroundingDinoConfig

__all__ = ["GroupPoseConfig"]


class GroupPoseConfig(GroundingDinoConfig):
    """What `mmpose.group_pose` can be told.

    It finds instances as `mmdet.grounding_dino` does, with all of its settings but masks, and has
    these beside. The defaults are a middle size.
    """

    pose_layers: PositiveInt = 3
    """Layers in which each instance is a group of one box and its keypoints. UniPose has 4."""
    max_groups: PositiveInt = 50
    """The most instances of an image that get keypoints; the best ones by class."""
    fine_channels: PositiveInt | None = None
    """Channels of one more, finer map, as of stride 4, that stands before those of `in_channels`
    in the list of maps and shows keypoints their detail; None: they see the levels of the encoder.
    """
    match_keypoints: float = Field(2.0, ge=0)
    """Weight of the distance of keypoints, in units of the instance's size, in the matching."""
    match_oks: float = Field(2.0, ge=0)
    """Weight of object keypoint similarity in the matching."""
    loss_keypoints: float = Field(2.0, ge=0)
    """Weight of the L1 distance of keypoints, in units of the instance's size."""
    loss_oks: float = Field(3.0, ge=0)
    """Weight of the loss on object keypoint similarity."""
    loss_keypoint_score: float = Field(1.0, ge=0)
    """Weight of the cross-entropy of keypoint scores with the similarity that each has reached."""

    @model_validator(mode="after")
    def _no_masks(self) -> Self:
        if self.masks:
            raise ValueError(
                "Poses come without masks: leave masks off, or give the model a detector beside. "
                "Received: masks=True"
            )
        return self

    @property
    def map_channels(self) -> tuple[int, ...]:
        """Channels of all maps that are taken of the backbone, finest first."""
        fine = () if self.fine_channels is None else (self.fine_channels,)
        return (*fine, *self.in_channels)
