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
from .files import RawColumn, present_files, read_items, read_json, refuse_empty
from .pairs import upright_size

__all__ = ["RegionDataset", "read_regions"]

_PLACES = ("{}.jpg", "VG_100K/{}.jpg", "VG_100K_2/{}.jpg")


def read_regions(
    annotations: str | Path, images: str | Path, *, broken: BrokenPolicy = "error"
) -> RegionDataset:
    """Read region_descriptions.json, one record for each region.

    Boxes are cut at the image when their record is asked for; regions without a phrase or an area
    are left out and counted. So are those outside of an image whose entry states its `width` and
    `height`; where it does not, as in the file that is published, their record raises.

    Args:
        annotations: region_descriptions.json; it is read as a whole once.
        images: The folder of the images, or the one that holds VG_100K and VG_100K_2.
        broken: What to do with an image that is missing or an entry that is broken: `error`
            raises, `skip` leaves it out and counts it.

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
            return "its box has no area inside of the image"
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
        return region.fault or ("its box has no area inside of the image" if outside else "")


class RegionDataset(Records[ReferringImage]):
    """The regions of all images, in the order of the file; see `read_regions`."""

    def __init__(self, path: Path, folder: Path, problems: Problems) -> None:
        self.path, self.folder, self.problems = path, folder, problems
        raw = read_json(path, list[msgspec.Raw], "file of region descriptions")
        ids, counts = [], []
        phrases: list[msgspec.Raw] = []
        boxes: list[npt.NDArray[np.float32]] = []
        numbers: list[npt.NDArray[np.int64]] = []
        for _, entry in read_items(path, raw, _Entry, "the list", problems):
            regions = self._usable(entry)
            ids.append(entry.id)
            counts.append(len(regions))
            # Phrases stay text, those of one image together: millions of objects cost gigabytes.
            phrases.append(msgspec.Raw(msgspec.json.encode([r.phrase for r in regions])))
            boxes.append(_columns(regions))
            numbers.append(np.array([r.region_id for r in regions], np.int64))
        self._files, kept = self._find_images(ids)
        self._ends = np.cumsum([counts[i] for i in kept])  # (images,)
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
        width, height = upright_size(image)
        x1, y1, x2, y2 = self._boxes[index].tolist()
        x1, y1, x2, y2 = max(0.0, x1), max(0.0, y1), min(width, x2), min(height, y2)
        if x1 >= x2 or y1 >= y2:
            raise InputError(
                f"region {number} in {self.path}: its box lies outside of {self._files[owner]}, "
                f"of {width} x {height} pixels"
            )
        return ReferringImage(
            image=image,
            expression=phrase,
            objects=(AnnotatedObject("region", (x1, y1, x2, y2)),),
            key=f"{self._files[owner]}#{number}",
            size=(width, height),
        )

    def _usable(self, entry: _Entry) -> list[_Region]:
        for region in entry.regions:
            if fault := entry.fault(region):
                item = f"region {region.region_id}"
                self.problems.add(self.path, item, fault, harmless=True)
        return [region for region in entry.regions if not entry.fault(region)]

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


def _columns(regions: Sequence[_Region]) -> npt.NDArray[np.float32]:
    """Boxes (N, 4) as corners, not cut at the image."""
    rows = [(r.x, r.y, r.x + r.width, r.y + r.height) for r in regions]
    return np.array(rows, np.float32).reshape(-1, 4)
