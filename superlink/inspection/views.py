"""One picture of a sheet: an image as somebody sees it, with targets in its own pixels."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from ..interfaces import Geometry, Sample
from ..visualization import PictureCanvas, grid
from .targets import describe_target

__all__ = ["CELL", "Marks", "View", "annotated_view", "fitted", "side_by_side", "warped"]

CELL = 480
"""The longer side of a picture on a sheet, in pixels."""
_MAX_LETTERS = 3
"""So many objects of one name, the largest, bear it; in a crowd the colour has to do."""
_GREY = "#9a9a9a"
_SMOOTH = Image.Resampling.BICUBIC


@dataclass(frozen=True)
class View:
    """A picture, or why there is none."""

    title: str
    """Who sees it: the head of its column."""
    picture: Image.Image | None
    """The picture, `CELL` pixels long; None where nothing can be shown."""
    note: str
    """What it is, or why it is not there."""


@dataclass(frozen=True)
class Marks:
    """What is drawn on an image, in pixels of that image."""

    bboxes: Tensor = field(default_factory=lambda: torch.zeros(0, 4))
    """(N, 4) boxes."""
    labels: Sequence[int] = ()
    """(N,) which of the names each has."""
    names: Sequence[str] = ()
    """Names; one without a name has no letters."""
    masks: Sequence[Tensor] = ()
    """Masks (H, W), of the image's size or of another that is resized to it."""
    points: Sequence[Tensor] = ()
    """Keypoints (K, 2) of each object, not finite where they are not known."""
    limbs: Sequence[tuple[int, int]] = ()
    """Which of the K keypoints are joined."""
    ignored: Tensor = field(default_factory=lambda: torch.zeros(0, 4))
    """(M, 4) boxes that are neither right nor wrong."""
    void: Tensor | None = None
    """(H, W), true where nothing is known."""

    @classmethod
    def of(cls, target: Mapping[str, Any], names: Sequence[str]) -> Marks:
        """The marks of a mapping with `bboxes`, `labels`, `masks`, `keypoints`,
        `keypoints_visible`, `keypoint_set`, `ignored_bboxes` and `void`, each of which may be
        missing."""
        empty = torch.zeros(0, 4)
        bboxes = torch.as_tensor(target.get("bboxes", empty)).float().reshape(-1, 4)
        masks = target.get("masks")
        void = target.get("void")
        labels = [int(label) for label in target.get("labels", range(len(bboxes)))]
        return cls(
            bboxes=bboxes,
            labels=labels,
            names=names,
            masks=() if masks is None else list(torch.as_tensor(masks)),
            points=_visible_points(target),
            limbs=known.limb_indices() if (known := target.get("keypoint_set")) else (),
            ignored=torch.as_tensor(target.get("ignored_bboxes", empty)).float().reshape(-1, 4),
            void=None if void is None else torch.as_tensor(void),
        )

    def moved(self, source: Geometry, stream: Geometry) -> Marks:
        """These marks in pixels of `stream`, where they are in pixels of `source` now; both start
        from one original image."""
        boxes = source.boxes_to_original(self.bboxes, clip=False)
        ignored = source.boxes_to_original(self.ignored, clip=False)
        masks = [_warped_mask(mask, source, stream) for mask in self.masks]
        return Marks(
            bboxes=stream.boxes_to_stream(boxes),
            labels=self.labels,
            names=self.names,
            masks=masks,
            points=[stream.points_to_stream(source.points_to_original(p)) for p in self.points],
            limbs=self.limbs,
            ignored=stream.boxes_to_stream(ignored),
            void=None if self.void is None else _warped_mask(self.void, source, stream),
        )

    def name(self, index: int) -> str:
        """The name of one object, empty where nobody knows it."""
        label = self.labels[index] if index < len(self.labels) else -1
        return self.names[label] if 0 <= label < len(self.names) else ""


def annotated_view(sample: Sample) -> View:
    """The last image of a sample with its targets, as they were annotated.

    Where targets are pictures, they stand beside it, or alone where the sample has no image.
    """
    told = " | ".join(map(describe_target, sample.targets)) or "no target"
    wanted = [picture for target in sample.targets for picture in (target or {}).get("images", ())]
    if wanted:
        return View("annotated", side_by_side([*sample.images[-1:], *wanted]), told)
    if not sample.images:
        return View("annotated", None, f"no image; {told}")
    image, geometry = sample.images[-1], sample.geometries[-1]
    original = Geometry.identity(geometry.original_size)
    marks = [
        Marks.of(target, target.get("names", ())).moved(original, geometry)
        for target in sample.targets
        if target is not None
    ]
    return View("annotated", fitted(image, marks), f"{image.width} x {image.height}; {told}")


def side_by_side(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures in the space of one cell; the pixels of small ones stay squares."""
    columns = math.ceil(math.sqrt(len(pictures)))
    small = Image.Resampling.NEAREST
    cells = [fitted(p, (), small if max(p.size) < CELL else _SMOOTH) for p in pictures]
    return cells[0] if len(cells) == 1 else fitted(grid(cells, columns, gap=4))


def fitted(
    image: Image.Image,
    marks: Sequence[Marks] = (),
    resample: Image.Resampling = _SMOOTH,
) -> Image.Image:
    """An image at the size of a cell, with marks on it."""
    factor = CELL / max(image.size)
    width, height = (max(1, round(side * factor)) for side in image.size)
    canvas = PictureCanvas(image.resize((width, height), resample), min_side=1)
    source = Geometry.identity((image.height, image.width))
    for one in marks:
        _draw(canvas, one, source.resized((height, width)))
    return canvas.image


def warped(
    image: Image.Image,
    source: Geometry,
    stream: Geometry,
    resample: Image.Resampling = _SMOOTH,
) -> Image.Image:
    """`image`, in pixels of `source`, as `stream` shows it; black where it reaches outside."""
    scale = [a / b for a, b in zip(source.scale, stream.scale, strict=True)]
    x, y = (
        a - b * s for a, b, s in zip(source.offset, stream.offset, scale, strict=True)
    )  # of the stream's corner, in pixels of the image
    height, width = stream.size
    right, bottom = x + scale[0] * width, y + scale[1] * height
    if -0.01 <= x < right <= image.width + 0.01 and -0.01 <= y < bottom <= image.height + 0.01:
        box = (max(0.0, x), max(0.0, y), min(right, image.width), min(bottom, image.height))
        return image.resize((width, height), resample, box=box)  # unlike below, without aliases
    affine = (scale[0], 0.0, x, 0.0, scale[1], y)
    return image.transform((width, height), Image.Transform.AFFINE, affine, resample)


def _draw(canvas: PictureCanvas, marks: Marks, geometry: Geometry) -> None:
    if marks.void is not None:
        _tint(canvas, marks.void)
    pen = ImageDraw.Draw(canvas.image)
    for box in geometry.boxes_to_stream(marks.ignored).tolist():
        pen.rectangle(tuple(box), outline=_GREY, width=canvas.line_width)
    for index, mask in enumerate(marks.masks):
        canvas.mask(mask, _color(canvas, marks, index))
    boxes = geometry.boxes_to_stream(marks.bboxes)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    written: Counter[str] = Counter()
    for index in areas.argsort(descending=True).tolist():  # the small ones on top
        x1, y1, x2, y2 = boxes[index].tolist()
        name = marks.name(index)
        written[name] += 1
        letters = name if written[name] <= _MAX_LETTERS else ""
        canvas.box((x1, y1, x2, y2), letters, _color(canvas, marks, index))
    for index, points in enumerate(marks.points):
        places, color = geometry.points_to_stream(points), _color(canvas, marks, index)
        canvas.limbs(places, marks.limbs, color)
        canvas.points(places, color)


def _tint(canvas: PictureCanvas, void: Tensor) -> None:
    """Grey where nothing is known."""
    pixels = Image.fromarray((void.cpu().numpy() > 0).astype("uint8") * 160)
    grey = Image.new("RGB", canvas.image.size, _GREY)
    canvas.image.paste(grey, (0, 0), pixels.resize(canvas.image.size))


def _color(canvas: PictureCanvas, marks: Marks, index: int) -> int:
    label = marks.labels[index] if index < len(marks.labels) else index
    return canvas.color_of(marks.name(index) or f"label {label}")


def _visible_points(target: Mapping[str, Any]) -> list[Tensor]:
    """Keypoints (K, 2) of each object, NaN where they are not labelled."""
    points = target.get("keypoints")
    if points is None:
        return []
    points = torch.as_tensor(points).float()[..., :2]
    visible = torch.as_tensor(target.get("keypoints_visible", torch.ones(points.shape[:2])))
    return list(points.masked_fill((visible <= 0)[..., None], torch.nan))


def _warped_mask(mask: Tensor, source: Geometry, stream: Geometry) -> Tensor:
    if source == stream:
        return mask
    image = Image.fromarray((mask.cpu().numpy() > 0.5).astype("uint8") * 255)
    moved = warped(image, source, stream, Image.Resampling.NEAREST)
    return torch.frombuffer(bytearray(moved.tobytes()), dtype=torch.uint8).view(stream.size) > 127
