"""Visual prompts: a point, a box, a stroke or any shape that marks part of an image."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from ..errors import InputError

__all__ = ["REGION", "REGION_MARK", "Mask", "Region", "RegionKind", "RegionPart"]

RegionKind = Literal["point", "box", "scribble", "circle", "polygon", "mask"]
Point = tuple[float, float]
Mask = npt.NDArray[np.bool_]
Values = npt.NDArray[np.floating]
_RADIUS = 0.02
"""Radius of a point and half the width of a stroke, where none is said, as a share of the longer
side of the image."""
REGION_MARK = "<region>"
"""The place of a region in what a user types."""


@dataclass(frozen=True)
class RegionPart:
    """The place of the next region of the sample inside a message."""


REGION = RegionPart()


@dataclass(frozen=True, eq=False)
class Region:
    """Part of an image, as a user marks it; coordinates are pixels of the image, x to the right and
    y down, (0, 0) its upper left corner.

    `Region.point((120, 80))`, `Region.box(10, 20, 60, 90)`, `Region.scribble([...])`,
    `Region.circle((120, 80), 15)`, `Region.polygon([...])` and `Region.from_mask(mask)` make them,
    and `Region.parse("box:10,20,60,90")` reads what a command line says.
    """

    kind: RegionKind
    """What was drawn."""
    points: tuple[Point, ...] = ()
    """The points; two corners of a box, the middle of a circle; none of a mask."""
    radius: float | None = None
    """Of points and circles, and half the width of a scribble."""
    mask: Mask | None = None
    """(H, W) of the image, true inside; of a mask alone."""
    image: int | None = None
    """Index of the image in its sample; None: the last image before the region."""
    placed: bool = False
    """Whether a sample found `image`, by the place of the region; another sample finds it anew."""

    def __post_init__(self) -> None:
        radius = 1.0 if self.radius is None else self.radius
        numbers = [*(value for point in self.points for value in point), radius]
        fits = _fits(self.kind, len(self.points))
        if not fits or not all(map(math.isfinite, numbers)) or radius <= 0:
            raise InputError(
                "A region is a point, or several; a box (x1, y1, x2, y2); a scribble of two points "
                "or more; a circle with a radius; a polygon of 3 points or more; or a mask. "
                f"Received: {self.kind} with points={self.points}, radius={self.radius}"
            )
        if (self.kind == "mask") != (self.mask is not None):
            raise InputError(
                "A region of the kind 'mask' has a mask, and no other has. "
                f"Received: kind={self.kind!r} {'with' if self.mask is not None else 'without'} one"
            )
        if self.mask is not None and (self.mask.ndim != 2 or self.mask.dtype != np.bool_):
            raise InputError(
                "A mask is a bool array (H, W). "
                f"Received: {self.mask.dtype} of shape {self.mask.shape}"
            )

    @classmethod
    def point(cls, *points: Point, radius: float | None = None) -> Region:
        """One click, or several on one thing."""
        return cls("point", _pairs(points), radius)

    @classmethod
    def box(cls, *corners: float) -> Region:
        """A box (x1, y1, x2, y2) by two of its corners that are opposite."""
        if len(corners) != 4:
            raise InputError(f"A box is four numbers, (1, 2, 30, 40). Received: {corners!r}")
        (x1, y1), (x2, y2) = _pairs([corners[:2], corners[2:]])
        return cls("box", ((min(x1, x2), min(y1, y2)), (max(x1, x2), max(y1, y2))))

    @classmethod
    def scribble(cls, points: Sequence[Point], radius: float | None = None) -> Region:
        """A stroke through points."""
        return cls("scribble", _pairs(points), radius)

    @classmethod
    def circle(cls, middle: Point, radius: float) -> Region:
        """A disc; what of it lies outside of the image is cut off."""
        return cls("circle", _pairs([middle]), radius)

    @classmethod
    def polygon(cls, points: Sequence[Point]) -> Region:
        """What a closed line surrounds, by the even-odd rule."""
        return cls("polygon", _pairs(points))

    @classmethod
    def from_mask(cls, mask: Mask) -> Region:
        """Any shape, as a mask (H, W) of the whole image."""
        return cls("mask", mask=np.asarray(mask))

    @classmethod
    def parse(cls, text: str) -> Region:
        """What a command line says: `point:120,80`, `box:x1,y1,x2,y2`, `scribble:x,y,x,y,...`,
        `circle:x,y,radius`, `polygon:x,y,x,y,...`; for a mask give `from_mask` its pixels.

        Raises:
            InputError: It is none of these.
        """
        kind, _, rest = text.partition(":")
        try:
            values = [float(value) for value in rest.split(",")]
        except ValueError:
            values = []
        points = list(zip(values[::2], values[1::2], strict=False))
        if kind == "circle" and len(values) == 3:
            return cls.circle((values[0], values[1]), values[2])
        if kind == "box" and len(values) == 4:
            return cls.box(*values)
        if kind in ("point", "scribble", "polygon") and values and len(values) % 2 == 0:
            return cls(kind, tuple(points))  # type: ignore[arg-type]
        raise InputError(
            "A region is point:x,y or box:x1,y1,x2,y2 or scribble:x,y,x,y,... or circle:x,y,radius "
            "or polygon:x,y,x,y,... in pixels of the image, or in a command mask:FILE.png. "
            f"Received: {text!r}"
        )

    def on(self, image: int) -> Region:
        """The same region on the image of this index in its sample."""
        return replace(self, image=image, placed=False)

    def raster(self, size: tuple[int, int]) -> Mask:
        """The pixels (H, W) that it covers, those whose middle lies in it; at least one.

        Args:
            size: Height and width of the image.

        Raises:
            InputError: It lies outside of the image, covers nothing, or is a mask of another size.
        """
        height, width = size
        if self.mask is not None and self.mask.shape != size:
            raise InputError(
                f"The mask of a region has the shape of its image, {size}. "
                f"Received: {self.mask.shape}. Give it at the size of the image."
            )
        outside = [p for p in self.points if not (0 <= p[0] <= width and 0 <= p[1] <= height)]
        if outside:
            raise InputError(
                f"A region lies inside of its image of {width} x {height} pixels. Received: a "
                f"{self.kind} with {outside[0]}. Coordinates are pixels, not shares of the image."
            )
        covered = _RASTERS[self.kind](self, size)
        if not covered.any():
            raise InputError(
                f"A region covers at least one pixel of its image of {width} x {height}. "
                f"Received: a {self.kind} that covers none. Make it larger."
            )
        return covered


def _pairs(points: Sequence[Sequence[float]]) -> tuple[Point, ...]:
    try:
        return tuple((float(x), float(y)) for x, y in points)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"Points are pairs of numbers, as Region.point((120, 80)). Received: {points!r}"
        ) from error


def _fits(kind: str, num_points: int) -> bool:
    counts: dict[str, Callable[[int], bool]] = {
        "point": lambda n: n >= 1,
        "box": lambda n: n == 2,
        "scribble": lambda n: n >= 2,
        "circle": lambda n: n == 1,
        "polygon": lambda n: n >= 3,
        "mask": lambda n: n == 0,
    }
    return kind in counts and counts[kind](num_points)


def _middles(size: tuple[int, int]) -> tuple[Values, Values]:
    """x (1, W) and y (H, 1) of the middles of all pixels."""
    return np.arange(size[1])[None] + 0.5, np.arange(size[0])[:, None] + 0.5


def _radius(region: Region, size: tuple[int, int]) -> float:
    """Of a point, a stroke or a circle; never so small that it would slip between the pixels."""
    return max(region.radius if region.radius is not None else _RADIUS * max(size), 0.75)


def _discs(region: Region, size: tuple[int, int]) -> Mask:
    x, y = _middles(size)
    radius = _radius(region, size)
    discs = [(x - px) ** 2 + (y - py) ** 2 <= radius**2 for px, py in region.points]
    return np.asarray(np.any(discs, axis=0))


def _box(region: Region, size: tuple[int, int]) -> Mask:
    x, y = _middles(size)
    (x1, y1), (x2, y2) = region.points
    return np.asarray((x >= x1) & (x < x2) & (y >= y1) & (y < y2))


def _stroke(region: Region, size: tuple[int, int]) -> Mask:
    """All pixels whose distance to one of the lines is at most the radius."""
    x, y = _middles(size)
    covered, radius = np.zeros(size, bool), _radius(region, size)
    for (ax, ay), (bx, by) in zip(region.points, region.points[1:], strict=False):
        length = (bx - ax) ** 2 + (by - ay) ** 2
        along = ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / max(length, 1e-9)
        along = along.clip(0, 1)
        away = (x - ax - along * (bx - ax)) ** 2 + (y - ay - along * (by - ay)) ** 2
        covered |= away <= radius**2
    return covered


def _polygon(region: Region, size: tuple[int, int]) -> Mask:
    x, y = _middles(size)
    inside = np.zeros(size, bool)
    for (ax, ay), (bx, by) in zip(
        region.points, (*region.points[1:], region.points[0]), strict=True
    ):
        if ay != by:
            crosses = (ay > y) != (by > y)  # (H, 1)
            inside ^= crosses & (x < ax + (y - ay) * (bx - ax) / (by - ay))
    return inside


_RASTERS: Mapping[str, Callable[[Region, tuple[int, int]], Mask]] = {
    "point": _discs,
    "circle": _discs,
    "box": _box,
    "scribble": _stroke,
    "polygon": _polygon,
    "mask": lambda region, size: np.array(region.mask),  # torch wants one that can be written to
}
