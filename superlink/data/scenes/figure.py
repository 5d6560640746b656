"""An articulated paper figure with the 17 keypoints of COCO, drawn in a random pose and dress."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from .paper import OUTLINE, Color, Point, cut_out, disc, limb, random_color, stroke, turned

__all__ = ["KEYPOINT_NAMES", "draw_figure"]

KEYPOINT_NAMES = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear"),
    *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    *("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
)
"""COCO's names and order. The figure faces the viewer: its left hand is on the image's right."""

Limb = tuple[Sequence[int], float, Color]

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
    return cut_out(image, points)


def _pose(rng: random.Random) -> list[Point]:
    """The 17 keypoints of an upright figure in a canvas of side 1."""
    x, y = _HEAD
    points: list[Point] = [(x, y + 0.015)]
    points += [(x + dx, y - 0.015) for dx in (0.033, -0.033)]
    points += [(x + dx, y) for dx in (0.078, -0.078)]
    arms = [
        limb((x + side * 0.1, 0.3), side, rng, (-0.1, 2.6), (-0.2, 1.4), 0.14) for side in (1, -1)
    ]
    legs = [
        limb((x + side * 0.055, _PELVIS[1]), side, rng, (-0.05, 0.65), (-0.7, 0.05), 0.18)
        for side in (1, -1)
    ]
    for left, right in (arms, legs):
        points += [joint for pair in zip(left, right, strict=True) for joint in pair]
    return points


def _tilted(points: Sequence[Point], angle: float) -> tuple[list[Point], Point]:
    """Lean the whole figure by `angle` radians about its pelvis; also gives the head's centre."""
    *leaning, head = turned((*points, _HEAD), _PELVIS, angle)
    return leaning, head


def _paint(
    draw: ImageDraw.ImageDraw, points: Sequence[Point], rng: random.Random, side: int
) -> None:
    """Paint all parts twice, a dark outline below and the colours on top. Point 17 is the head."""
    pixels = [(x * side, y * side) for x, y in points]
    skin, hair = rng.choice(_SKIN), rng.choice(_HAIR)
    shirt, trousers = random_color(rng, 60), random_color(rng, 20)
    sleeve = shirt if rng.random() < 0.5 else skin
    limbs: list[Limb] = [((11, 13, 15), 0.07, trousers), ((12, 14, 16), 0.07, trousers)]
    limbs += [((5, 7), 0.06, shirt), ((6, 8), 0.06, shirt)]
    limbs += [((7, 9), 0.055, sleeve), ((8, 10), 0.055, sleeve)]
    torso: Limb = ((5, 6, 12, 11, 5), 0.06, shirt)
    for rim in (0.022, 0.0):
        for chain, width, color in (*limbs[:2], torso, *limbs[2:]):
            stroke(
                draw,
                [pixels[i] for i in chain],
                (width + rim) * side,
                color if not rim else OUTLINE,
            )
        draw.polygon([pixels[i] for i in (5, 6, 12, 11)], fill=OUTLINE if rim else shirt)
        disc(draw, pixels[17], (_HEAD_RADIUS + rim / 2) * side, OUTLINE if rim else skin)
    _paint_face(draw, pixels, hair, side)


def _paint_face(draw: ImageDraw.ImageDraw, pixels: Sequence[Point], hair: Color, side: int) -> None:
    (x, y), radius = pixels[17], _HEAD_RADIUS * side
    lean = math.degrees(math.atan2(pixels[1][1] - pixels[2][1], pixels[1][0] - pixels[2][0]))
    box = (x - radius, y - radius, x + radius, y + radius)
    draw.chord(box, lean + 200, lean + 340, fill=hair)
    for eye in (pixels[1], pixels[2]):
        disc(draw, eye, 0.012 * side, OUTLINE)
