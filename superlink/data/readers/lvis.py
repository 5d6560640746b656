"""Reading LVIS: COCO's form, in which only some classes are known of each image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..problems import BrokenPolicy
from ..schema import AnnotatedImage, AnnotatedObject
from .coco import CocoDataset
from .coco_entries import CocoImage

__all__ = ["LvisDataset", "LvisImage", "read_lvis"]


def read_lvis(
    annotations: str | Path,
    images: str | Path,
    *,
    masks: bool = False,
    broken: BrokenPolicy = "error",
) -> LvisDataset:
    """Read a file of LVIS v1.

    LVIS is federated: annotators looked for a few classes in each image. The `categories` of a
    record are those that it shows and those that they made sure it does not show; nothing is known
    of the others. Where they did not look for all objects of a class, those that they found have
    `exhaustive: False` among their `attributes`, and the whole image is `ignored` for the class: to
    find one more is neither right nor wrong. Names have spaces in place of underscores, and
    `synonyms` hold the other words for a class.

    Args:
        annotations: The JSON file.
        images: COCO's folder, with `train2017` and `val2017` in it, or one that holds the images.
        masks: Whether to decode the segmentations; polygons need pycocotools.
        broken: `error` raises at what is wrong with an image or an annotation; `skip` leaves it
            out and counts it.

    Raises:
        InputError: A file is missing, broken, or does not hold together.
    """
    return LvisDataset(Path(annotations), Path(images), masks=masks, broken=broken)


class LvisImage(CocoImage, kw_only=True):
    """An entry of `images`."""

    file_name: str = ""
    coco_url: str = ""
    """Where COCO has it, `http://images.cocodataset.org/train2017/000000391895.jpg`: from v1 on in
    place of a file name."""
    neg_category_ids: list[int | str]
    """Classes that it does not show."""

    def file_names(self) -> tuple[str, ...]:
        """Its name below `train2017` or `val2017`, and its name alone."""
        *folders, name = (self.file_name or self.coco_url).split("/")
        return (name,) if not folders else (f"{folders[-1]}/{name}", name)

    def known_categories(self) -> Sequence[int | str]:
        """Those that it does not show; those that it shows are known by its objects."""
        return self.neg_category_ids


class LvisDataset(CocoDataset):
    """The images of an LVIS file, in its order; see `read_lvis`."""

    what = "LVIS file"
    image_type = LvisImage

    def display_name(self, name: str) -> str:
        """`baseball bat` for `baseball_bat`."""
        return name.replace("_", " ").strip()

    def record(self, index: int) -> AnnotatedImage:
        """The image at `index`, with its objects."""
        record = super().record(index)
        classes = {o.name for o in record.objects if o.attributes.get("exhaustive") is False}
        if not classes or record.size is None:
            return record
        width, height = record.size
        whole = [
            AnnotatedObject(
                name,
                (0.0, 0.0, float(width), float(height)),
                np.ones((height, width), np.bool_) if self._columns.masks else None,
                area=float(width * height),
            )
            for name in sorted(classes)
        ]
        return replace(record, ignored=(*record.ignored, *whole))
