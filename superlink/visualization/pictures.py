"""Pictures of replies and targets: what was found on the image, and the words below it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from PIL import Image

from ..errors import InputError
from ..interfaces import ImagePrediction, InstancePrediction, Region, Reply
from ..interfaces.pictures import made_images
from .canvas import PictureCanvas, color_at
from .lettering import Word, with_text

__all__ = ["draw_reply", "draw_target", "grid"]

_COLUMNS = 4


def draw_reply(
    image: Image.Image | None,
    reply: Reply,
    threshold: float = 0.25,
    *,
    text: bool = True,
    regions: Sequence[Region] = (),
) -> Image.Image:
    """The picture of a reply: its predictions on the image, its text below.

    Pictures that the model made stand beside it.

    Args:
        image: The image that the reply speaks of; None where it speaks of none.
        reply: What the model answered.
        threshold: Instances with a lower score are left out.
        text: Whether the text of the reply, and calls that failed, stand below.
        regions: What was marked in the image.

    Raises:
        InputError: There is neither an image nor a picture that the model made.
    """
    pictures = [PictureCanvas(picture).image for picture in made_images(reply)]
    canvas = None if image is None else PictureCanvas(image)
    if image is not None and canvas is not None:
        for region in regions:
            canvas.rim(torch.from_numpy(region.raster((image.height, image.width))))
        _draw_found(reply, threshold, canvas)
        pictures.insert(0, canvas.image)
    if not pictures:
        raise InputError(
            f"A reply without an image has no picture. Received: the text {reply.text!r} alone"
        )
    picture = pictures[0] if len(pictures) == 1 else grid(pictures, _COLUMNS)
    if not text:
        return picture
    failures = [f"{failure.call.decoder} failed: {failure.reason}" for failure in reply.failures]
    plain = [[Word(word) for word in text.split()] for text in failures]
    return with_text(picture, [_legend(reply, canvas), *plain])


def draw_target(
    image: Image.Image, targets: Sequence[Mapping[str, Any] | None], *paragraphs: str
) -> Image.Image:
    """The picture of what should be found: annotated boxes, masks and keypoints, text below.

    Args:
        image: The original image.
        targets: Of its calls. `bboxes` (N, 4), `labels` (N,) and `names` are drawn, and `masks`
            (N, H, W) and `keypoints` (N, K, 2) where they are given, with the limbs of
            `keypoint_set`; other targets have no picture.
        paragraphs: Put below, for instance question and expected answer.
    """
    canvas = PictureCanvas(image)
    for target in targets:
        if target is None or not {"bboxes", "labels", "names"} <= target.keys():
            continue
        for index, label in enumerate(target["labels"].tolist()):
            name = target["names"][label]
            color = canvas.color_of(name)
            if len(target.get("masks", ())):
                canvas.mask(target["masks"][index], color)
            x1, y1, x2, y2 = target["bboxes"][index].tolist()
            canvas.box((x1, y1, x2, y2), name, color)
            if "keypoints" in target:
                unlabelled = target["keypoints_visible"][index] <= 0
                points = target["keypoints"][index].masked_fill(unlabelled[:, None], torch.nan)
                if "keypoint_set" in target:
                    canvas.limbs(points, target["keypoint_set"].limb_indices(), color)
                canvas.points(points, color)
    lines = [[Word(word) for word in text.split()] for text in paragraphs]
    return with_text(canvas.image, lines) if lines else canvas.image


def grid(pictures: Sequence[Image.Image], columns: int, gap: int = 12) -> Image.Image:
    """Put pictures side by side on white, each in the middle of a cell that fits the largest."""
    if not pictures or columns < 1:
        raise InputError(
            "A grid needs at least one picture and one column. "
            f"Received: {len(pictures)} pictures, columns={columns}"
        )
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    width, height = (max(sides) for sides in zip(*(p.size for p in pictures), strict=True))
    size = (columns * (width + gap) + gap, rows * (height + gap) + gap)
    sheet = Image.new("RGB", size, "white")
    for index, picture in enumerate(pictures):
        row, column = divmod(index, columns)
        x = gap + column * (width + gap) + (width - picture.width) // 2
        y = gap + row * (height + gap)
        sheet.paste(picture, (x, y))
    return sheet


def _draw_found(reply: Reply, threshold: float, canvas: PictureCanvas) -> None:
    """Draw what was found on the image that it was found in."""
    for prediction in reply.predictions:
        if isinstance(prediction, InstancePrediction):
            prediction = prediction.above(threshold)
        if not isinstance(prediction, ImagePrediction):
            prediction.draw(canvas)


def _legend(reply: Reply, canvas: PictureCanvas | None) -> list[Word]:
    """The words of a reply; those of a phrase have the colour of what was found for it."""
    spans = []
    if canvas is not None:
        spans = [(r.span, canvas.color_of(r.phrase)) for r in reply.routes if r.phrase]
    words = []
    for found in re.finditer(r"\S+", reply.text):
        inside = (color for (a, b), color in spans if a < found.end() and found.start() < b)
        index = next(inside, None)
        words.append(Word(found.group(), None if index is None else color_at(index)))
    return words
