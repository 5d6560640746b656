"""Reading CrowdHuman: people in crowds, one image a line."""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import Literal

import msgspec

from ..problems import BrokenPolicy, Problems
from ..records import Records
from ..schema import AnnotatedImage, AnnotatedObject
from .files import keep_present, read_lines, refuse_empty

__all__ = ["CrowdHumanDataset", "read_crowdhuman"]

PERSON = "person"


def read_crowdhuman(
    annotations: str | Path, images: str | Path, *, broken: BrokenPolicy = "error"
) -> CrowdHumanDataset:
    """Read an `.odgt` file of CrowdHuman.

    The boxes are full boxes (`fbox`): they tell how far a person reaches behind what hides it and
    beyond the border of the image. They are not cut at the image, since the metrics of CrowdHuman
    compare full boxes; the records state no size, which would bind boxes to the image. Masks, as
    of people on posters, and what the file tells to ignore are `ignored`. Every person of an image
    is one or the other, so that `person` is always among the categories.

    Args:
        annotations: The `.odgt` file.
        images: The folder of the images, each called after its ID with `.jpg`.
        broken: `error` raises at a line that cannot be read and at a missing image; `skip` leaves
            them out and counts them. Boxes without an area are left out and counted either way.

    Raises:
        InputError: A file is missing or broken.
    """
    return CrowdHumanDataset(Path(annotations), Path(images), Problems(broken))


class _Extra(msgspec.Struct):
    ignore: int = 0


class _Person(msgspec.Struct):
    tag: Literal["person", "mask"]
    fbox: tuple[float, float, float, float]
    extra: _Extra = msgspec.field(default_factory=_Extra)


class _Line(msgspec.Struct):
    ID: str
    gtboxes: list[_Person]


class CrowdHumanDataset(Records[AnnotatedImage]):
    """The images of a CrowdHuman file, in its order; see `read_crowdhuman`."""

    categories: tuple[str, ...] = (PERSON,)
    """What is annotated."""

    def __init__(self, path: Path, folder: Path, problems: Problems) -> None:
        self.path, self.folder, self.problems = path, folder, problems
        self._keys: list[str] = []
        self._boxes = array("d")  # (x1, y1, x2, y2) of all people, one after the other
        self._ignored = bytearray()  # 1 for each that is
        self._starts = array("q", [0])  # of the people of each image
        lines = self._lines()
        names = [f"{line.ID}.jpg" for line in lines]
        for index in keep_present(path, folder, names, problems):
            self._keep(lines[index])
        refuse_empty(len(self), path, problems)

    def __len__(self) -> int:
        return len(self._keys)

    def record(self, index: int) -> AnnotatedImage:
        """The image at `index`, with its people."""
        sides: tuple[list[AnnotatedObject], list[AnnotatedObject]] = ([], [])
        for row in range(self._starts[index], self._starts[index + 1]):
            x1, y1, x2, y2 = self._boxes[4 * row : 4 * row + 4]
            sides[self._ignored[row]].append(AnnotatedObject(PERSON, (x1, y1, x2, y2)))
        return AnnotatedImage(
            image=self.folder / f"{self._keys[index]}.jpg",
            objects=tuple(sides[0]),
            categories=self.categories,
            key=self._keys[index],
            ignored=tuple(sides[1]),
        )

    def _lines(self) -> list[_Line]:
        lines: dict[str, _Line] = {}
        for number, line in read_lines(self.path, _Line, self.problems):
            if line.ID in lines:
                self.problems.add(self.path, f"line {number}", "another line has its ID")
            else:
                lines[line.ID] = line
        return list(lines.values())

    def _keep(self, line: _Line) -> None:
        self._keys.append(line.ID)
        for number, person in enumerate(line.gtboxes):
            x, y, width, height = person.fbox
            if not (x < x + width < float("inf") and y < y + height < float("inf")):
                item = f"box {number} of image {line.ID}"
                self.problems.add(self.path, item, "its box has no area", harmless=True)
                continue
            self._boxes.extend((x, y, x + width, y + height))
            self._ignored.append(person.tag == "mask" or person.extra.ignore != 0)
        self._starts.append(len(self._ignored))
