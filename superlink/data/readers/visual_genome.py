"""Reading the region descriptions of Visual Genome: phrases, and the boxes that they are of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..problems import BrokenPolicy, Problems
from ..records import Records
from ..schema import AnnotatedObject, ReferringImage
from .coco_entries import cut_box
from .files import RawColumn, present_files, read_items, read_json, refuse_empty
from .pairs import upright_size

__all__ = ["RegionDataset", "read_regions"]

_OUTSIDE = "its box has no area inside of the image"
_PLACES = ("{}.jpg", "VG_100K/{}.jpg", "VG_100K_2/{}.jpg")


def read_regions(
    annotations: str | Path, images: str | Path, *, broken: BrokenPolicy = "error"
) -> RegionDataset:
    """Read region_descriptions.json, one record for each region.

    Boxes are cut at the image when their record is asked for; regions without a phrase or an area
    are left out and counted. So are those outside of an image whose entry states its `width` and
    `height`. Where it does not, as in the file that is published, `skip` looks at the size of every
    image as the set is opened, and with `error` the record of such a region raises.

    Args:
        annotations: region_descriptions.json; it is read as a whole once.
        images: The folder of the images, or the one that holds VG_100K and VG_100K_2.
        broken: What to do with an image that is missing or cannot be read, or an entry that is
            broken: `error` raises, `skip` leaves it out and counts it.

    Raises:
        InputError: The file is missing or something else, or holds nothing to read.
    """
    return RegionDataset(Path(annotations), Path(images), Problems(broken))


class _Region(msgspec.Struct, frozen=True, gc=False):
    region_id: int
    phrase: str
    x: float
    y: float
    width: float
    height: float

    @property
    def fault(self) -> str:
        """Why nothing can be asked of it; empty where something can."""
        if not self.phrase.strip():
            return "it has no phrase"
        if min(self.width, self.height, self.x + self.width, self.y + self.height) <= 0:
            return _OUTSIDE
        return ""


class _Entry(msgspec.Struct, frozen=True):
    id: int
    regions: list[_Region]
    width: float | None = None
    height: float | None = None

    def fault(self, region: _Region) -> str:
        """Why nothing can be asked of a region; empty where something can."""
        width, height = self.width, self.height
        outside = (width and region.x >= width) or (height and region.y >= height)
        return region.fault or (_OUTSIDE if outside else "")


class RegionDataset(Records[ReferringImage]):
    """The regions of all images, in the order of the file; see `read_regions`."""

    def __init__(self, path: Path, folder: Path, problems: Problems) -> None:
        self.path, self.folder, self.problems = path, folder, problems
        raw = read_json(path, list[msgspec.Raw], "file of region descriptions")
        ids, sized = [], []
        # Phrases stay text, those of one image together: millions of objects cost gigabytes.
        phrases: list[msgspec.Raw] = []
        boxes: list[npt.NDArray[np.float32]] = []
        numbers: list[npt.NDArray[np.int64]] = []
        for _, entry in read_items(path, raw, _Entry, "the list", problems):
            regions = self._usable(entry)
            ids.append(entry.id)
            sized.append(bool(entry.width and entry.height))
            phrases.append(_as_json([r.phrase for r in regions]))
            boxes.append(_columns(regions))
            numbers.append(np.array([r.region_id for r in regions], np.int64))
        self._files, kept = self._find_images(ids)
        for place, index in enumerate(kept if problems.policy == "skip" else ()):
            if not sized[index]:
                inside = self._inside(self._files[place], boxes[index], numbers[index])
                if not inside.all():
                    texts = msgspec.json.decode(phrases[index], type=list[str])
                    phrases[index] = _as_json([texts[i] for i in np.flatnonzero(inside)])
                    boxes[index], numbers[index] = boxes[index][inside], numbers[index][inside]
        self._ends = np.cumsum([len(numbers[i]) for i in kept])  # (images,)
        self._phrases = RawColumn([phrases[i] for i in kept])
        self._boxes = np.concatenate([np.empty((0, 4), np.float32), *(boxes[i] for i in kept)])
        self._numbers = np.concatenate([np.empty(0, np.int64), *(numbers[i] for i in kept)])
        refuse_empty(len(self), path, problems, "region")

    def __len__(self) -> int:
        return len(self._numbers)

    def record(self, index: int) -> ReferringImage:
        """One region with its phrase.

        Raises:
            InputError: The image cannot be read, or the region lies outside of it.
        """
        owner = int(np.searchsorted(self._ends, index, side="right"))
        first = self._ends[owner - 1] if owner else 0
        phrase = msgspec.json.decode(self._phrases[owner], type=list[str])[index - first]
        image, number = self.folder / self._files[owner], int(self._numbers[index])
        size = width, height = upright_size(image)
        box = cut_box(self._boxes[index].tolist(), size)
        if box is None:
            raise InputError(
                f"region {number} in {self.path}: its box lies outside of {self._files[owner]}, "
                f"of {width} x {height} pixels. Leave such regions out with the reader's option "
                "broken=skip."
            )
        return ReferringImage(
            image=image,
            expression=phrase,
            objects=(AnnotatedObject("region", box),),
            key=f"{self._files[owner]}#{number}",
            size=size,
        )

    def _usable(self, entry: _Entry) -> list[_Region]:
        for region in entry.regions:
            if fault := entry.fault(region):
                item = f"region {region.region_id}"
                self.problems.add(self.path, item, fault, harmless=True)
        return [region for region in entry.regions if not entry.fault(region)]

    def _inside(
        self, file: str, boxes: npt.NDArray[np.float32], numbers: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.bool_]:
        """Which of the boxes (N, 4) have an area inside of their image; the others are counted."""
        try:
            size = upright_size(self.folder / file)
        except InputError:
            self.problems.add(self.path, f"image {file}", "its file is no image that can be read")
            return np.zeros(len(boxes), bool)
        inside: npt.NDArray[np.bool_] = (boxes[:, 0] < size[0]) & (boxes[:, 1] < size[1])
        for number in numbers[~inside]:
            self.problems.add(self.path, f"region {number}", _OUTSIDE)
        return inside

    def _find_images(self, ids: Sequence[int]) -> tuple[list[str], list[int]]:
        """Where the images are, and the indices of those that are somewhere."""
        present = present_files(self.folder, [p.format(i) for i in ids for p in _PLACES])
        files, kept = [], []
        for index, image in enumerate(ids):
            names = [place.format(image) for place in _PLACES]
            if name := next((name for name in names if name in present), None):
                files.append(name)
                kept.append(index)
            else:
                reason = f"its image is not in the folder {self.folder}"
                self.problems.add(self.path, f"image {image}", reason)
        return files, kept


def _as_json(phrases: Sequence[str]) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(phrases))


def _columns(regions: Sequence[_Region]) -> npt.NDArray[np.float32]:
    """Boxes (N, 4) as corners, not cut at the image."""
    rows = [(r.x, r.y, r.x + r.width, r.y + r.height) for r in regions]
    return np.array(rows, np.float32).reshape(-1, 4)
