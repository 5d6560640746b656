"""Counts from annotations in COCO's form: one question for each class that an image shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..problems import BrokenPolicy
from ..records import Records
from ..schema import CountedImage
from .coco import CocoDataset, read_coco
from .files import refuse_empty

__all__ = ["CocoCounts", "read_coco_counts"]


def read_coco_counts(
    annotations: str | Path,
    images: str | Path,
    *,
    masks: bool = False,
    broken: BrokenPolicy = "error",
) -> CocoCounts:
    """Read an `instances` file of COCO, one record for each image and class that it shows.

    Where a class has a crowd in an image nobody knows how many there are: it is left out there,
    and counted among the problems.

    Args:
        annotations: The JSON file.
        images: The folder that its file names are relative to.
        masks: Whether to decode the segmentations; polygons need pycocotools, and the file is
            read twice.
        broken: See `read_coco`.

    Raises:
        InputError: A file is missing, broken, or does not hold together; no image shows anything.
    """
    boxes = read_coco(annotations, images, broken=broken)
    return CocoCounts(
        boxes, read_coco(annotations, images, masks=True, broken=broken) if masks else boxes
    )


class CocoCounts(Records[CountedImage]):
    """Pairs of image and class, in the order of the file and of its categories.

    Args:
        index: The images, to find the pairs in.
        source: The same images, to make records of; it may decode masks.
    """

    def __init__(self, index: CocoDataset, source: CocoDataset) -> None:
        self.source, self.problems = source, index.problems
        pairs: list[tuple[int, int]] = []
        order = {name: number for number, name in enumerate(index.categories)}
        for number in range(len(index)):
            record = index.record(number)
            crowds = {item.name for item in record.ignored}
            for name in sorted({item.name for item in record.objects}, key=order.__getitem__):
                if name in crowds:
                    item = f"{name} in image {record.key}"
                    reason = "a crowd of it was not counted one by one"
                    self.problems.add(index.path, item, reason, harmless=True)
                else:
                    pairs.append((number, order[name]))
        refuse_empty(len(pairs), index.path, self.problems, "count")
        self._pairs = np.array(pairs, np.int64)  # (pairs, 2) image and category

    def __len__(self) -> int:
        return len(self._pairs)

    def record(self, index: int) -> CountedImage:
        """One class of an image, with the box of each of its objects.

        Raises:
            InputError: A mask cannot be decoded.
        """
        number, category = self._pairs[index].tolist()
        record, name = self.source.record(number), self.source.categories[category]
        objects = tuple(item for item in record.objects if item.name == name)
        return CountedImage(
            image=record.image,
            name=name,
            count=len(objects),
            key=f"{record.key}#{name}",
            objects=objects,
            size=record.size,
        )
