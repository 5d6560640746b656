"""Reading annotations in COCO's JSON form."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from ...errors import InputError
from ...interfaces.images import open_image
from ..coco_export import export_coco
from ..rle import decode_segmentation
from ..schema import AnnotatedImage, AnnotatedObject

__all__ = ["CocoDataset", "export_coco", "read_coco"]

Record = Mapping[str, Any]


def read_coco(annotations: str | Path, images: str | Path, *, masks: bool = False) -> CocoDataset:
    """Read an `instances` or `person_keypoints` file of COCO.

    Boxes become (x1, y1, x2, y2) and are cut at the image; crowds, and boxes thinner than a pixel,
    are skipped. Images are opened, and masks decoded, when their record is asked for.

    Args:
        annotations: The JSON file.
        images: The folder that its file names are relative to.
        masks: Whether to decode the segmentations; needs pycocotools.

    Raises:
        InputError: The file is missing, no JSON, or does not hold together.
    """
    path, folder = Path(annotations), Path(images)
    if not folder.is_dir():
        raise InputError(f"No such folder of images for {path.name}: {str(folder)!r}")
    return CocoDataset(path, folder, masks=masks)


class CocoDataset(Sequence[AnnotatedImage]):
    """The images of a COCO file, in its order; see `read_coco`."""

    def __init__(self, path: Path, folder: Path, *, masks: bool) -> None:
        content = _load(path)
        self.path, self.folder, self.masks = path, folder, masks
        self._images = _listed(path, content, "images", ("id", "file_name"))
        categories = _listed(path, content, "categories", ("id", "name"))
        self._names: dict[Any, str] = {entry["id"]: str(entry["name"]) for entry in categories}
        self.categories = tuple(self._names.values())
        if len(set(self.categories)) != len(categories):
            raise _invalid(path, "two categories share an id or a name")
        self._by_image: dict[Any, list[Record]] = {image["id"]: [] for image in self._images}
        if len(self._by_image) != len(self._images):
            raise _invalid(path, "two images share an id")
        self._skipped: dict[Any, set[str]] = {image["id"]: set() for image in self._images}
        keys = ("image_id", "category_id", "bbox")
        for entry in _listed(path, content, "annotations", keys):
            self._check(entry)
            if entry.get("iscrowd") or min(entry["bbox"][2:]) < 1:
                self._skipped[entry["image_id"]].add(self._names[entry["category_id"]])
            else:
                self._by_image[entry["image_id"]].append(entry)

    def __len__(self) -> int:
        return len(self._images)

    @overload
    def __getitem__(self, index: int) -> AnnotatedImage: ...
    @overload
    def __getitem__(self, index: slice) -> list[AnnotatedImage]: ...
    def __getitem__(self, index: int | slice) -> AnnotatedImage | list[AnnotatedImage]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        image = self._images[index]
        path = self.folder / str(image["file_name"])
        size = self._size(image, path)
        found = [self._object(entry, *size) for entry in self._by_image[image["id"]]]
        objects = tuple(item for item in found if item is not None)
        # A class of which only crowds or slivers are annotated is neither here nor absent.
        unsure = self._skipped[image["id"]] - {item.name for item in objects}
        return AnnotatedImage(
            image=path,
            objects=objects,
            categories=tuple(name for name in self.categories if name not in unsure),
            size=size,
            key=str(image.get("key", image["file_name"])),
            caption=image.get("caption", ""),
        )

    def _check(self, entry: Record) -> None:
        """Raise where an annotation names what is not there."""
        name = f"annotation {entry.get('id', '?')}"
        if entry["image_id"] not in self._by_image:
            raise _invalid(self.path, f"{name} names the unknown image {entry['image_id']!r}")
        if entry["category_id"] not in self._names:
            raise _invalid(self.path, f"{name} names the unknown category {entry['category_id']!r}")
        bbox = entry["bbox"]
        if not (
            isinstance(bbox, list)
            and len(bbox) == 4
            and all(isinstance(value, int | float) and math.isfinite(value) for value in bbox)
        ):
            raise _invalid(self.path, f"the bbox of {name} is not [x, y, width, height]: {bbox!r}")

    def _size(self, image: Record, path: Path) -> tuple[int, int]:
        """Width and height as the file states them, else as the image has them."""
        width, height = image.get("width"), image.get("height")
        if isinstance(width, int) and isinstance(height, int):
            return width, height
        return open_image(path).size

    def _object(self, entry: Record, width: int, height: int) -> AnnotatedObject | None:
        x, y, w, h = entry["bbox"]
        bbox = (max(0.0, x), max(0.0, y), min(float(width), x + w), min(float(height), y + h))
        if bbox[0] >= bbox[2] or bbox[1] >= bbox[3]:
            return None
        mask = keypoints = None
        try:
            if self.masks and entry.get("segmentation"):
                mask = decode_segmentation(entry["segmentation"], height, width)
            if entry.get("keypoints"):
                keypoints = np.asarray(entry["keypoints"], np.float32).reshape(-1, 3)
        except (ValueError, TypeError, KeyError) as error:
            name = f"the segmentation or the keypoints of annotation {entry.get('id', '?')}"
            raise _invalid(self.path, f"{name} cannot be read: {error}") from error
        name = self._names[entry["category_id"]]
        return AnnotatedObject(name, bbox, mask, keypoints, entry.get("attributes", {}))


def _load(path: Path) -> Record:
    if not path.is_file():
        raise InputError(f"No such annotation file: {str(path)!r}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _invalid(path, f"it is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise _invalid(path, f"it holds a {type(content).__name__}, not an object")
    return content


def _listed(path: Path, content: Record, section: str, keys: Sequence[str]) -> list[Record]:
    """The entries of one section, each with all of `keys`."""
    entries = content.get(section)
    if not isinstance(entries, list):
        raise _invalid(path, f"the list {section!r} is missing")
    for index, entry in enumerate(entries):
        missing = [key for key in keys if not isinstance(entry, dict) or key not in entry]
        if missing:
            raise _invalid(path, f"{section}[{index}] lacks {', '.join(missing)}")
        if odd := [key for key in keys if key != "bbox" and not isinstance(entry[key], int | str)]:
            raise _invalid(path, f"{section}[{index}] needs a number or text as {', '.join(odd)}")
    return entries


def _invalid(path: Path, reason: str) -> InputError:
    return InputError(f"{path.name} is no usable COCO file: {reason}. File: {path}")
