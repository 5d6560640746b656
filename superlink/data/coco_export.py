"""Writing records in COCO's form, all or nothing."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
from rich.progress import track

from ..errors import InputError
from .rle import encode_mask
from .schema import AnnotatedImage, AnnotatedObject

__all__ = ["export_coco"]


def export_coco(
    samples: Iterable[AnnotatedImage], folder: str | Path, *, progress: bool = True
) -> Path:
    """Write records as `images/` and `instances.json` into a new folder.

    All is written beside it and renamed at the end: the folder is whole, or not there. What is
    `ignored` becomes crowds (`iscrowd`). `read_coco` gives the same records back; for other
    readers, all images share one list of categories. COCO has no place for `void` pixels and for
    the name of the `dataset`: they are not written.

    Returns:
        The path of `instances.json`.

    Raises:
        InputError: The folder exists and is not empty, or an image cannot be read.
    """
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(
            f"export_coco writes a new folder. {str(target)!r} exists; choose another."
        )
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    try:
        (temporary / "images").mkdir(parents=True)
        tracked = track(samples, "Writing images", disable=not progress, transient=True)
        content = _Export(temporary / "images").run(tracked)
        (temporary / "instances.json").write_bytes(msgspec.json.encode(content))
        temporary.replace(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target / "instances.json"


class _Export:
    """Collects the JSON of records while their images are written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.categories: dict[str, dict[str, Any]] = {}
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []
        self.crowd_names: list[set[str]] = []
        """For each image, what it shows crowds of and no single ones."""

    def run(self, samples: Iterable[AnnotatedImage]) -> dict[str, Any]:
        for sample in samples:
            self._add(sample)
        for image, crowd_names in zip(self.images, self.crowd_names, strict=True):
            # Read without this list, an image knows of all categories but those of its crowds.
            usual = [c["id"] for name, c in self.categories.items() if name not in crowd_names]
            if image["category_ids"] == usual:
                del image["category_ids"]
        return {
            "images": self.images,
            "annotations": self.annotations,
            "categories": list(self.categories.values()),
        }

    def _add(self, sample: AnnotatedImage) -> None:
        number = len(self.images) + 1
        image = sample.open()
        file_name = f"{number:06d}.png"
        image.save(self.folder / file_name)
        self.images.append(
            {
                "id": number,
                "file_name": file_name,
                "width": image.width,
                "height": image.height,
                "caption": sample.caption,
                "key": sample.key,
                "category_ids": [self._category_id(sample, name) for name in sample.categories],
            }
        )
        names = {item.name for item in sample.objects}
        self.crowd_names.append({item.name for item in sample.ignored} - names)
        for is_crowd, items in enumerate((sample.objects, sample.ignored)):
            for item in items:
                entry = {"id": len(self.annotations) + 1, "image_id": number, "iscrowd": is_crowd}
                entry["category_id"] = self._category_id(sample, item.name)
                self.annotations.append({**entry, **_shape_entry(item)})

    def _category_id(self, sample: AnnotatedImage, name: str) -> int:
        new = {"id": len(self.categories) + 1, "name": name}
        category = self.categories.setdefault(name, new)
        if words := sample.synonyms.get(name):
            category["synonyms"] = list(words)
        number: int = category["id"]
        return number


def _shape_entry(item: AnnotatedObject) -> dict[str, Any]:
    """Where an object is, in COCO's keys."""
    x1, y1, x2, y2 = map(float, item.bbox)
    area = item.area
    if area is None:
        area = (x2 - x1) * (y2 - y1) if item.mask is None else float(item.mask.sum())
    entry: dict[str, Any] = {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": area}
    entry["attributes"] = dict(item.attributes)
    if item.mask is not None:
        entry["segmentation"] = encode_mask(item.mask)
    if item.keypoints is not None:
        # In the digits of 32 bits: 0.1 rather than 0.10000000149011612
        entry["keypoints"] = [float(str(value)) for value in item.keypoints.flatten()]
        entry["num_keypoints"] = int((item.keypoints[:, 2] > 0).sum())
    return entry
