"""An articulated paper figure with the 17 keypoints of COCO, drawn in a random pose and dress."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

__all__ = ["KEYPOINT_NAMES", "draw_figure"]

KEYPOINT_NAMES = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear"),
    *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    *("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
)
"""COCO's names and order. The figure faces the viewer: its left hand is on the image's right."""

Point = tuple[float, float]
Color = tuple[int, int, int]
Limb = tuple[Sequence[int], float, Color]

_OUTLINE: Color = (35, 31, 32)
_SKIN: tuple[Color, ...] = ((255, 219, 172), (224, 172, 105), (141, 85, 36), (92, 56, 30))
_HAIR: tuple[Color, ...] = ((30, 25, 22), (96, 60, 32), (222, 184, 92), (150, 150, 150))
_HEAD = (0.5, 0.17)
_HEAD_RADIUS = 0.085
_PELVIS = (0.5, 0.56)


def draw_figure(rng: random.Random, side: int) -> tuple[Image.Image, npt.NDArray[np.float32]]:
    """Draw a figure on a canvas of `side` x `side` pixels and cut off its empty margins.

    Returns:
        An RGBA image, and the keypoints (17, 2) as x, y in its pixels.
    """
    points, head = _tilted(_pose(rng), rng.gauss(0, 0.12))
    image = Image.new("RGBA", (side, side))
    _paint(ImageDraw.Draw(image), [*points, head], rng, side)
    left, top, right, bottom = image.getchannel("A").getbbox() or (0, 0, side, side)
    offsets = np.array([left, top], np.float32)
    return image.crop((left, top, right, bottom)), np.array(points, np.float32) * side - offsets


def _pose(rng: random.Random) -> list[Point]:
    """The 17 keypoints of an upright figure in a canvas of side 1."""
    x, y = _HEAD
    points: list[Point] = [(x, y + 0.015)]
    points += [(x + dx, y - 0.015) for dx in (0.033, -0.033)]
    points += [(x + dx, y) for dx in (0.078, -0.078)]
    arms = [
        _limb((x + side * 0.1, 0.3), side, rng, (-0.1, 2.6), (-0.2, 1.4), 0.14) for side in (1, -1)
    ]
    legs = [
        _limb((x + side * 0.055, _PELVIS[1]), side, rng, (-0.05, 0.65), (-0.7, 0.05), 0.18)
        for side in (1, -1)
    ]
    for left, right in (arms, legs):
        points += [joint for pair in zip(left, right, strict=True) for joint in pair]
    return points


def _limb(
    start: Point, side: int, rng: random.Random, first: Point, bend: Point, length: float
) -> tuple[Point, Point, Point]:
    """A limb of two segments; angles in radians count outwards from straight down."""
    angle = rng.uniform(*first)
    joint = _step(start, side, angle, length)
    return start, joint, _step(joint, side, angle + rng.uniform(*bend), length)


def _step(start: Point, side: int, angle: float, length: float) -> Point:
    return start[0] + side * length * math.sin(angle), start[1] + length * math.cos(angle)


def _tilted(points: Sequence[Point], angle: float) -> tuple[list[Point], Point]:
    """Lean the whole figure by `angle` radians about its pelvis; also gives the head's centre."""
    (cx, cy), cos, sin = _PELVIS, math.cos(angle), math.sin(angle)
    turned = [
        (cx + (x - cx) * cos - (y - cy) * sin, cy + (x - cx) * sin + (y - cy) * cos)
        for x, y in (*points, _HEAD)
    ]
    return turned[:-1], turned[-1]


def _paint(
    draw: ImageDraw.ImageDraw, points: Sequence[Point], rng: random.Random, side: int
) -> None:
    """Paint all parts twice, a dark outline below and the colours on top. Point 17 is the head."""
    pixels = [(x * side, y * side) for x, y in points]
    skin, hair = rng.choice(_SKIN), rng.choice(_HAIR)
    shirt, trousers = _random_color(rng, 60), _random_color(rng, 20)
    sleeve = shirt if rng.random() < 0.5 else skin
    limbs: list[Limb] = [((11, 13, 15), 0.07, trousers), ((12, 14, 16), 0.07, trousers)]
    limbs += [((5, 7), 0.06, shirt), ((6, 8), 0.06, shirt)]
    limbs += [((7, 9), 0.055, sleeve), ((8, 10), 0.055, sleeve)]
    torso: Limb = ((5, 6, 12, 11, 5), 0.06, shirt)
    for rim in (0.022, 0.0):
        for chain, width, color in (*limbs[:2], torso, *limbs[2:]):
            _stroke(
                draw,
                [pixels[i] for i in chain],
                (width + rim) * side,
                color if not rim else _OUTLINE,
            )
        draw.polygon([pixels[i] for i in (5, 6, 12, 11)], fill=_OUTLINE if rim else shirt)
        _disc(draw, pixels[17], (_HEAD_RADIUS + rim / 2) * side, _OUTLINE if rim else skin)
    _paint_face(draw, pixels, hair, side)


def _paint_face(draw: ImageDraw.ImageDraw, pixels: Sequence[Point], hair: Color, side: int) -> None:
    (x, y), radius = pixels[17], _HEAD_RADIUS * side
    lean = math.degrees(math.atan2(pixels[1][1] - pixels[2][1], pixels[1][0] - pixels[2][0]))
    box = (x - radius, y - radius, x + radius, y + radius)
    draw.chord(box, lean + 200, lean + 340, fill=hair)
    for eye in (pixels[1], pixels[2]):
        _disc(draw, eye, 0.012 * side, _OUTLINE)


def _stroke(draw: ImageDraw.ImageDraw, chain: Sequence[Point], width: float, color: Color) -> None:
    """A line with round joints and ends."""
    draw.line(chain, fill=color, width=max(1, round(width)))
    for point in chain:
        _disc(draw, point, width / 2, color)


def _disc(draw: ImageDraw.ImageDraw, center: Point, radius: float, color: Color) -> None:
    x, y = center
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)


def _random_color(rng: random.Random, darkest: int) -> Color:
    red, green, blue = (rng.randrange(darkest, 245) for _ in range(3))
    return red, green, blue
