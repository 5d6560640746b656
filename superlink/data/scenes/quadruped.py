"""An articulated paper horse in side view, with the 17 keypoints of AP-10K."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from ..keypoint_sets import keypoint_set
from .paper import OUTLINE, Color, Point, cut_out, disc, limb, random_color, stroke, turned

__all__ = ["draw_quadruped"]

_KEYPOINTS = keypoint_set("ap10k")

Facing = Literal["left", "right"]
Part = tuple[Sequence[Point], float, Color]
"""A chain of points, the width of the stroke along it, and its colour."""

_RUMP, _CHEST = (0.3, 0.42), (0.6, 0.43)
_MIDDLE = (0.45, 0.45)
_TAIL, _NECK = (0.225, 0.37), (0.645, 0.365)
_SHOULDER, _HIP = (0.6, 0.45), (0.3, 0.44)
_FAR = (0.055, -0.005)  # from near shoulder and hip to the far ones
_TRUNK_WIDTH, _NECK_WIDTH, _HEAD_WIDTH, _LEG_WIDTH = 0.2, 0.11, 0.085, 0.055
_NECK_LENGTH, _HEAD_LENGTH, _LEG_LENGTH, _TAIL_LENGTH = 0.2, 0.135, 0.185, 0.11
_RIM = 0.011
_SHADE = 0.6  # of the far legs


class _Pose(NamedTuple):
    """Where the parts of a horse are that faces right, in a canvas of side 1."""

    trunk: list[Point]
    """Rump and chest."""
    head: list[Point]
    """Neck, poll and nose."""
    eyes: list[Point]
    """The near one and the far one."""
    tail: list[Point]
    """From its root."""
    legs: list[list[Point]]
    """Near fore, far fore, near hind and far hind leg, each from shoulder or hip to the paw."""

    def keypoints(self) -> list[Point]:
        """Those of AP-10K: what is near is on the right side."""
        near_fore, far_fore, near_hind, far_hind = self.legs
        single = [*self.eyes[::-1], self.head[2], self.head[0], self.tail[0]]
        return [*single, *far_fore, *near_fore, *far_hind, *near_hind]


def draw_quadruped(
    rng: random.Random, side: int, facing: Facing | None = None
) -> tuple[Image.Image, npt.NDArray[np.float32]]:
    """Draw a horse on a canvas of `side` x `side` pixels and cut off its empty margins.

    A horse that faces the image's right shows its right side: its right legs are the near ones,
    drawn over the body, and the left ones are darker and behind. One that faces left is the mirror
    image, in which left and right trade places.

    Args:
        rng: Decides on pose and colours.
        side: Of the canvas.
        facing: Where the head is; None: either.

    Returns:
        An RGBA image, and the keypoints (17, 3) of AP-10K: x, y in its pixels, and 2 where the
        point is seen, 1 where the horse itself hides it.
    """
    way = rng.choice(("left", "right"))
    image, points = _draw(rng, side)
    if (facing or way) == "right":
        return image, points
    points[:, 0] = image.width - points[:, 0]
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), points[_KEYPOINTS.mirror_order()]


def _draw(rng: random.Random, side: int) -> tuple[Image.Image, npt.NDArray[np.float32]]:
    """A horse that faces right, as `draw_quadruped` returns it."""
    pose = _leaning(_pose(rng), rng.gauss(0, 0.08))
    coat, mane = random_color(rng, 50), random_color(rng, 20)
    shank = coat if rng.random() < 0.5 else random_color(rng, 50)
    image, near = Image.new("RGBA", (side, side)), Image.new("RGBA", (side, side))
    for leg in (pose.legs[1], pose.legs[3]):
        _paint(image, _leg(leg, _shaded(coat), _shaded(shank)))
    _paint(near, [(pose.tail, 0.035, mane)])
    _paint(near, _body(pose, coat))
    _paint_head(near, pose, mane)
    for leg in (pose.legs[0], pose.legs[2]):
        _paint(near, _leg(leg, coat, shank))
    image.alpha_composite(near)
    image, points = cut_out(image, pose.keypoints())
    return image, np.column_stack([points, _seen(pose.keypoints(), near)]).astype(np.float32)


def _pose(rng: random.Random) -> _Pose:
    neck = rng.uniform(-0.5, 1.2)  # radians above straight ahead
    poll = _ahead(_NECK, neck, _NECK_LENGTH)
    nose = _ahead(poll, neck - rng.uniform(1.0, 1.9), _HEAD_LENGTH)
    eye = _between(poll, nose, 0.3)
    legs = []
    for start, first, bend in (
        (_SHOULDER, (-0.5, 0.6), (-0.8, 0.05)),
        (_HIP, (-0.4, 0.6), (-0.8, 0.05)),
    ):
        for x, y in ((0.0, 0.0), _FAR):
            legs.append([*limb((start[0] + x, start[1] + y), 1, rng, first, bend, _LEG_LENGTH)])
    tail = [*limb(_TAIL, -1, rng, (0.1, 1.2), (-0.8, 0.2), _TAIL_LENGTH)]
    far_eye = (eye[0] + 0.008, eye[1] - 0.004)
    return _Pose([_RUMP, _CHEST], [_NECK, poll, nose], [eye, far_eye], tail, legs)


def _leaning(pose: _Pose, angle: float) -> _Pose:
    """The whole horse turned by `angle` radians about its middle."""
    trunk, head, eyes, tail = (turned(part, _MIDDLE, angle) for part in pose[:4])
    legs = [turned(leg, _MIDDLE, angle) for leg in pose.legs]
    return _Pose(trunk, head, eyes, tail, legs)


def _body(pose: _Pose, coat: Color) -> list[Part]:
    neck, poll, nose = pose.head
    muzzle = _between(poll, nose, 0.85)
    return [
        (pose.trunk, _TRUNK_WIDTH, coat),
        ([pose.trunk[1], neck], 0.14, coat),
        ([neck, poll], _NECK_WIDTH, coat),
        ([poll, _aside(neck, poll, 1.0, 0.075)], 0.035, coat),  # the ear
        ([poll, muzzle], _HEAD_WIDTH, coat),
    ]


def _leg(leg: Sequence[Point], coat: Color, shank: Color) -> list[Part]:
    upper, joint, paw = leg
    hoof = _between(joint, paw, 0.9)
    return [
        ([paw, hoof], _LEG_WIDTH * 0.9, OUTLINE),
        ([joint, hoof], _LEG_WIDTH * 0.8, shank),
        ([upper, joint], _LEG_WIDTH * 1.2, coat),
    ]


def _paint(image: Image.Image, parts: Sequence[Part]) -> None:
    """Paint parts that hang together, a dark rim around all of them."""
    draw, side = ImageDraw.Draw(image), image.width
    for rim in (2 * _RIM, 0.0):
        for chain, width, color in parts:
            pixels = [(x * side, y * side) for x, y in chain]
            stroke(draw, pixels, (width + rim) * side, OUTLINE if rim else color)


def _paint_head(image: Image.Image, pose: _Pose, mane: Color) -> None:
    """Mane, eye and nostril."""
    neck, poll, nose = pose.head
    crest = [_aside(neck, poll, share, 0.048) for share in (0.15, 0.85)]
    _paint(image, [(crest, 0.035, mane)])
    draw, side = ImageDraw.Draw(image), image.width
    for point, radius in ((pose.eyes[0], 0.012), (nose, 0.009)):
        disc(draw, (point[0] * side, point[1] * side), radius * side, OUTLINE)


def _seen(points: Sequence[Point], near: Image.Image) -> npt.NDArray[np.int64]:
    """(17,) 1 for points of the far side that lie behind what is painted on `near`, else 2."""
    opaque = np.asarray(near.getchannel("A")) > 127
    columns, rows = (np.array(points) * near.width).astype(int).T
    far = np.array([name.startswith("left ") for name in _KEYPOINTS.names])
    return np.where(far & opaque[rows, columns], 1, 2)


def _shaded(color: Color) -> Color:
    red, green, blue = (round(part * _SHADE) for part in color)
    return red, green, blue


def _ahead(start: Point, angle: float, length: float) -> Point:
    """The point `length` ahead of `start`, `angle` radians above the horizon."""
    return start[0] + length * math.cos(angle), start[1] - length * math.sin(angle)


def _between(start: Point, end: Point, share: float) -> Point:
    return start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])


def _aside(start: Point, end: Point, share: float, distance: float) -> Point:
    """A point between two, moved by `distance` to the back of what they bound."""
    (x, y), length = _between(start, end, share), math.dist(start, end)
    across = (end[1] - start[1]) / length, (start[0] - end[0]) / length
    return x + distance * across[0], y + distance * across[1]
