"""Annotations in COCO's form where each image needs an object: to mark it, and ask about it."""

from __future__ import annotations

from pathlib import Path

from ..problems import BrokenPolicy
from ..records import Records
from ..schema import AnnotatedImage
from .coco import CocoDataset, read_coco
from .files import refuse_empty

__all__ = ["CocoInstances", "read_instances"]


def read_instances(
    annotations: str | Path,
    images: str | Path,
    *,
    masks: bool = True,
    broken: BrokenPolicy = "error",
) -> CocoInstances:
    """Read an `instances` file of COCO, without the images that show nothing or crowds alone.

    Args:
        annotations: The JSON file.
        images: The folder that its file names are relative to.
        masks: Whether to decode the segmentations; polygons need pycocotools.
        broken: See `read_coco`.

    Raises:
        InputError: A file is missing, broken, or does not hold together; no image shows anything.
    """
    return CocoInstances(read_coco(annotations, images, masks=masks, broken=broken))


class CocoInstances(Records[AnnotatedImage]):
    """The images of a COCO file that show an object, in its order.

    Args:
        source: All images.
    """

    def __init__(self, source: CocoDataset) -> None:
        self.source, self.problems, self.categories = source, source.problems, source.categories
        self._kept = [index for index in range(len(source)) if source.classes_of(index)[0]]
        refuse_empty(len(self), source.path, self.problems, "image with objects")

    def __len__(self) -> int:
        return len(self._kept)

    def record(self, index: int) -> AnnotatedImage:
        """The image at `index`, with its objects."""
        return self.source.record(self._kept[index])
