"""The regions of Visual Genome to describe: each box, and the phrase that was written of it."""

from __future__ import annotations

from pathlib import Path

from ..problems import BrokenPolicy
from ..records import Records
from ..schema import DescribedRegion
from .visual_genome import RegionDataset, read_regions

__all__ = ["RegionDescriptions", "read_region_descriptions"]


def read_region_descriptions(
    annotations: str | Path, images: str | Path, *, broken: BrokenPolicy = "error"
) -> RegionDescriptions:
    """Read region_descriptions.json to describe its regions; see `read_regions`.

    Args:
        annotations: region_descriptions.json; it is read as a whole once.
        images: The folder of the images, or the one that holds VG_100K and VG_100K_2.
        broken: What to do with an image that is missing or cannot be read, or an entry that is
            broken: `error` raises, `skip` leaves it out and counts it.

    Raises:
        InputError: The file is missing or something else, or holds nothing to read.
    """
    return RegionDescriptions(read_regions(annotations, images, broken=broken))


class RegionDescriptions(Records[DescribedRegion]):
    """The regions of all images, in the order of the file.

    Args:
        source: The same regions with their phrases as expressions.
    """

    def __init__(self, source: RegionDataset) -> None:
        self.source, self.problems = source, source.problems

    def __len__(self) -> int:
        return len(self.source)

    def record(self, index: int) -> DescribedRegion:
        """One region with its phrase.

        Raises:
            InputError: The image cannot be read, or the region lies outside of it.
        """
        found = self.source.record(index)
        (marked,) = found.objects
        phrases = (found.expression.strip(),)
        return DescribedRegion(found.image, marked, phrases, found.key, found.size)
