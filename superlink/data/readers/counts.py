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
    and counted among the problems; and so it is where a broken annotation of it was skipped.

    Args:
        annotations: The JSON file.
        images: The folder that its file names are relative to.
        masks: Whether to decode the segmentations; polygons need pycocotools.
        broken: See `read_coco`.

    Raises:
        InputError: A file is missing, broken, or does not hold together; no image shows anything.
    """
    return CocoCounts(read_coco(annotations, images, masks=masks, broken=broken))


class CocoCounts(Records[CountedImage]):
    """Pairs of image and class, in the order of the file and of its categories.

    Args:
        source: The images.
    """

    def __init__(self, source: CocoDataset) -> None:
        self.source, self.problems = source, source.problems
        pairs: list[tuple[int, int]] = []
        order = {name: number for number, name in enumerate(source.categories)}
        for number in range(len(source)):
            present, crowds, lost = source.classes_of(number)
            for name in sorted(present, key=order.__getitem__):
                if name in crowds or name in lost:
                    reason = "a crowd of it was not counted one by one"
                    if name in lost:
                        reason = "an annotation of it was left out, so that its number is unknown"
                    item = f"{name} in image {source.key(number)}"
                    self.problems.add(source.path, item, reason, harmless=True)
                else:
                    pairs.append((number, order[name]))
        refuse_empty(len(pairs), source.path, self.problems, "count")
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
