"""Writing records in COCO's form, all or nothing."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.progress import track

from ..errors import InputError
from .rle import encode_mask
from .schema import AnnotatedImage, AnnotatedObject

__all__ = ["export_coco"]


def export_coco(
    samples: Iterable[AnnotatedImage], folder: str | Path, *, progress: bool = True
) -> Path:
    """Write records as `images/` and `instances.json` into a new folder.

    All is written beside it and renamed at the end: the folder is whole, or not there.

    Returns:
        The path of `instances.json`.

    Raises:
        InputError: The folder exists and is not empty.
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
        (temporary / "instances.json").write_text(json.dumps(content), encoding="utf-8")
        temporary.replace(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target / "instances.json"


class _Export:
    """Collects the JSON of records while their images are written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.category_ids: dict[str, int] = {}
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []

    def run(self, samples: Iterable[AnnotatedImage]) -> dict[str, Any]:
        for sample in samples:
            for name in sample.categories:
                self.category_ids.setdefault(name, len(self.category_ids) + 1)
            self._add(sample)
        categories = [{"id": number, "name": name} for name, number in self.category_ids.items()]
        return {
            "images": self.images,
            "annotations": self.annotations,
            "categories": categories,
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
            }
        )
        for item in sample.objects:
            entry = {"id": len(self.annotations) + 1, "image_id": number}
            entry["category_id"] = self.category_ids[item.name]
            self.annotations.append({**entry, **_shape_entry(item)})


def _shape_entry(item: AnnotatedObject) -> dict[str, Any]:
    """Where an object is, in COCO's keys."""
    x1, y1, x2, y2 = item.bbox
    area = (x2 - x1) * (y2 - y1) if item.mask is None else float(item.mask.sum())
    entry: dict[str, Any] = {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": area, "iscrowd": 0}
    entry["attributes"] = dict(item.attributes)
    if item.mask is not None:
        entry["segmentation"] = encode_mask(item.mask)
    if item.keypoints is not None:
        entry["keypoints"] = [round(float(value), 2) for value in item.keypoints.flatten()]
        entry["num_keypoints"] = int((item.keypoints[:, 2] > 0).sum())
    return entry
