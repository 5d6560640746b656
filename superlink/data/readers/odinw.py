"""Reading ODinW: small detection sets of many kinds, measured one by one."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

from ...errors import InputError
from ..problems import BrokenPolicy, Problems
from ..records import Records
from ..schema import AnnotatedImage
from .coco import CocoDataset, read_coco

__all__ = ["OdinwDataset", "read_odinw"]

FILE = "annotations_without_background.json"


def read_odinw(
    images: str | Path,
    *,
    split: str = "valid",
    sets: Sequence[str] = (),
    masks: bool = False,
    broken: BrokenPolicy = "error",
) -> OdinwDataset:
    """Read one split of ODinW, all of its sets or some.

    A set is a folder with `SPLIT/annotations_without_background.json` somewhere below it, beside
    its images, or with `SPLIT_annotations_without_background.json`, as `pistols` has it. It is
    called by the name of its folder; where that holds several sets, by their paths:
    `EgoHands/generic` and `EgoHands/specific`. Records bear this name as their `dataset`, and
    before their key.

    Args:
        images: The folder that holds a folder for each set.
        split: `train`, `valid` or `test`.
        sets: Which sets to read, by their names or by the folders that hold several; default all.
        masks: Whether to decode the segmentations; polygons need pycocotools.
        broken: As in `read_coco`.

    Raises:
        InputError: There is no such set, or a file is broken.
    """
    folder = Path(images)
    files = _choose(_find_sets(folder, split), (sets,) if isinstance(sets, str) else sets)
    opened = {
        name: read_coco(path, path.parent, masks=masks, broken=broken)
        for name, path in files.items()
    }
    return OdinwDataset(opened, broken)


class OdinwDataset(Records[AnnotatedImage]):
    """The images of several sets, one set after the other.

    Args:
        sets: By their names.
        broken: How they were opened.
    """

    def __init__(self, sets: Mapping[str, CocoDataset], broken: BrokenPolicy) -> None:
        self.sets = dict(sets)
        self.problems = Problems(broken)
        self.problems.found = [problem for found in sets.values() for problem in found.problems]
        self._ends = list(accumulate(map(len, sets.values())))

    def __len__(self) -> int:
        return self._ends[-1]

    def record(self, index: int) -> AnnotatedImage:
        """The image at `index`, with the name of its set as `dataset`."""
        number = bisect(self._ends, index)
        name, records = list(self.sets.items())[number]
        record = records.record(index - (self._ends[number] - len(records)))
        return replace(record, dataset=name, key=f"{name}/{record.key}")


def _find_sets(folder: Path, split: str) -> dict[str, Path]:
    """Files of annotations by the path of their set below `folder`, in alphabetical order."""
    if not folder.is_dir():
        raise InputError(f"No such folder of images: {str(folder)!r}. Check the path.")
    # Of the sets that keep all splits in one folder, `valid` is `val`.
    beside = (f"{split}_{FILE}", f"{'val' if split == 'valid' else split}_{FILE}")
    found = {}
    for path in sorted(folder.rglob(f"*{FILE}")):
        if path.name == FILE and path.parent.name == split:
            found[path.parent.parent] = path
        elif path.name in beside:
            found[path.parent] = path
    if not found:
        raise InputError(
            f"A folder of ODinW holds files SET/{split}/{FILE}. "
            f"Received: none of them below {str(folder)!r}. Check the path and the split."
        )
    return {
        # `folder` may be a set itself
        (place.relative_to(folder).as_posix() if place != folder else folder.absolute().name): path
        for place, path in found.items()
    }


def _choose(found: Mapping[str, Path], sets: Sequence[str]) -> dict[str, Path]:
    """The chosen files, by the names of their sets."""
    tops = [path.split("/")[0] for path in found]
    names = {p: t if tops.count(t) == 1 else p for p, t in zip(found, tops, strict=True)}
    wanted = {name.strip("/") for name in sets}
    if unknown := sorted(wanted - {*names.values(), *tops, *found}):
        raise InputError(
            f"Unknown sets of ODinW: {', '.join(unknown)}. Choose from {', '.join(names.values())}"
        )
    return {
        names[path]: file
        for (path, file), top in zip(found.items(), tops, strict=True)
        if not wanted or wanted & {names[path], top, path}
    }
