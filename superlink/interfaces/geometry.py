"""The record of how an image was resized, padded, cropped and flipped.

Every image stream carries one, so that targets go in and predictions come back exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..errors import InputError

__all__ = ["Geometry"]

Size = tuple[int, int]


@dataclass(frozen=True)
class Geometry:
    """An axis-aligned map from pixels of the original image to pixels of a stream.

    `stream = original * scale + offset` on each axis; a negative scale is a flip. Sizes are
    (height, width), points are (x, y), boxes are (x1, y1, x2, y2) with pixel edges, so that a whole
    image is the box (0, 0, width, height).
    """

    original_size: Size
    """Height and width of the original image, in pixels."""
    size: Size
    """Height and width of the stream, in pixels."""
    scale: tuple[float, float] = (1.0, 1.0)
    """Factors of x and y; negative where the stream is flipped on that axis."""
    offset: tuple[float, float] = (0.0, 0.0)
    """What is added to x and y after scaling, in pixels of the stream."""

    def __post_init__(self) -> None:
        if min(*self.original_size, *self.size) < 1 or 0.0 in self.scale:
            raise InputError(
                "A geometry needs sizes of at least one pixel and scales that are not 0. "
                f"Received: {self!r}"
            )

    @classmethod
    def identity(cls, size: Size) -> Geometry:
        """The map of an image of `size` (height, width) onto itself."""
        return cls(original_size=size, size=size)

    @property
    def flipped(self) -> bool:
        """Whether left and right are exchanged between the original and the stream."""
        return self.scale[0] < 0

    def resized(self, size: Size) -> Geometry:
        """This map followed by a resize of the stream to `size` (height, width)."""
        fx, fy = size[1] / self.size[1], size[0] / self.size[0]
        (sx, sy), (ox, oy) = self.scale, self.offset
        return replace(self, size=size, scale=(sx * fx, sy * fy), offset=(ox * fx, oy * fy))

    def cropped(self, box: tuple[int, int, int, int]) -> Geometry:
        """This map followed by a crop to `box` (x1, y1, x2, y2); a box that reaches outside
        pads."""
        x1, y1, x2, y2 = box
        return replace(
            self, size=(y2 - y1, x2 - x1), offset=(self.offset[0] - x1, self.offset[1] - y1)
        )

    def padded(self, size: Size) -> Geometry:
        """This map followed by padding at the right and the bottom to `size` (height, width)."""
        return replace(self, size=size)

    def mirrored(self) -> Geometry:
        """This map followed by an exchange of left and right."""
        (sx, sy), (ox, oy) = self.scale, self.offset
        return replace(self, scale=(-sx, sy), offset=(self.size[1] - ox, oy))

    def points_to_stream(self, points: Tensor) -> Tensor:
        """Map `points` (..., 2) from pixels of the original image to pixels of the stream."""
        return points * points.new_tensor(self.scale) + points.new_tensor(self.offset)

    def points_to_original(self, points: Tensor) -> Tensor:
        """Map `points` (..., 2) from pixels of the stream to pixels of the original image."""
        return (points - points.new_tensor(self.offset)) / points.new_tensor(self.scale)

    def boxes_to_stream(self, bboxes: Tensor) -> Tensor:
        """Map `bboxes` (..., 4) from pixels of the original image to pixels of the stream."""
        return _sorted_corners(self.points_to_stream(bboxes.reshape(*bboxes.shape[:-1], 2, 2)))

    def boxes_to_original(self, bboxes: Tensor, *, clip: bool = True) -> Tensor:
        """Map `bboxes` (..., 4) from pixels of the stream to pixels of the original image.

        With `clip`, what lies outside of the original image is cut off.
        """
        boxes = _sorted_corners(self.points_to_original(bboxes.reshape(*bboxes.shape[:-1], 2, 2)))
        if not clip:
            return boxes
        height, width = self.original_size
        return torch.minimum(boxes.clamp(min=0), boxes.new_tensor([width, height, width, height]))


def _sorted_corners(corners: Tensor) -> Tensor:
    """Turn two corners (..., 2, 2) in any order into boxes (..., 4)."""
    return torch.cat([corners.amin(-2), corners.amax(-2)], dim=-1)
