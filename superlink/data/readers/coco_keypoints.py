"""Reading keypoints in COCO's JSON form: people, animals, faces and hands."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import msgspec

from ...errors import InputError
from ...interfaces import KeypointSet
from ..keypoint_sets import keypoint_set, keypoint_set_names, keypoint_words, known_keypoints
from ..problems import BrokenPolicy
from ..schema import AnnotatedImage
from .coco import CocoDataset
from .coco_entries import CocoAnnotation, CocoCategory, decode_keypoints
from .files import DECODE_ERRORS

__all__ = ["CocoKeypoints", "read_coco_keypoints"]


def read_coco_keypoints(
    annotations: str | Path,
    images: str | Path,
    keypoints: str | Path | None = None,
    *,
    masks: bool = False,
    broken: BrokenPolicy = "error",
) -> CocoKeypoints:
    """Read a keypoints file of COCO, CrowdPose, AP-10K, MacaquePose or Human-Art, or one of faces
    or hands that has their form.

    Images, boxes and crowds are those of `read_coco`; an object whose keypoints nobody labelled is
    kept, and teaches its box. `keypoint_sets` of a record has a set for each class. The file names
    the points, and `left_knee` becomes `left knee`; sigmas are those of the built-in set that knows
    most of the names, and limbs, too, where the file has no skeleton that fits. Names of classes
    have spaces in place of underscores.

    Args:
        annotations: The JSON file.
        images: The folder that its file names are relative to.
        keypoints: What the points are, where the file does not say it or says it otherwise: one of
            `keypoint_set_names()`, or the path of a JSON file; see `keypoint_set`. It holds for
            every category that names points; where none does, for all.
        masks: Whether to decode the segmentations; polygons need pycocotools.
        broken: `error` raises at what is wrong with an image or an annotation, as at one without a
            box; `skip` leaves it out and counts it.

    Raises:
        InputError: A file is missing, broken, or does not hold together; names of a category are
            the same; there are keypoints of which nobody says what they are, or none at all.
        ConfigError: There is no set `keypoints`.
    """
    chosen = None if keypoints is None else keypoint_set(keypoints)
    return CocoKeypoints(Path(annotations), Path(images), chosen, masks=masks, broken=broken)


class CocoKeypoints(CocoDataset):
    """The images of a file of keypoints, in its order; see `read_coco_keypoints`."""

    what: ClassVar[str] = "COCO file of keypoints"
    keypoint_sets: dict[str, KeypointSet]
    """For each category that has keypoints, which."""

    def __init__(
        self,
        path: Path,
        folder: Path,
        keypoints: KeypointSet | None = None,
        *,
        masks: bool,
        broken: BrokenPolicy,
    ) -> None:
        self._chosen = keypoints
        super().__init__(path, folder, masks=masks, broken=broken)
        if not self.keypoint_sets:
            raise self._fatal(
                "none of its categories has keypoints. Name a set of them, "
                f"keypoints={'|'.join(keypoint_set_names())}, or read boxes alone with read_coco"
            )

    def display_name(self, name: str) -> str:
        """`polar bear` for `polar_bear`."""
        return name.replace("_", " ").strip()

    def record(self, index: int) -> AnnotatedImage:
        """The image at `index`, with its objects and what their keypoints are."""
        record = super().record(index)
        names = dict.fromkeys([*record.categories, *(item.name for item in record.ignored)])
        sets = {name: self.keypoint_sets[name] for name in names if name in self.keypoint_sets}
        return replace(record, keypoint_sets=sets)

    def _read_categories(self, entries: Sequence[CocoCategory], raw: Sequence[msgspec.Raw]) -> None:
        super()._read_categories(entries, raw)
        kept = {self._category_index[e.id]: e for e in entries if e.id in self._category_index}
        named = any(entry.keypoints for entry in kept.values())
        self.keypoint_sets = {}
        for index, entry in kept.items():
            if entry.keypoints or (self._chosen is not None and not named):
                found = self._set_of(entry)
                self.keypoint_sets[self.categories[index]] = found
                self._num_keypoints[index] = len(found)

    def _set_of(self, entry: CocoCategory) -> KeypointSet:
        written, chosen = entry.keypoints or [], self._chosen
        if chosen is None:
            try:
                return _named_set(written, entry.skeleton)
            except InputError as error:
                raise self._fatal(f"the keypoints of category {entry.name!r}: {error}") from error
        if written and len(written) != len(chosen):
            raise self._fatal(
                f"category {entry.name!r} has {len(written)} keypoints, {written}, and the set of "
                f"the option `keypoints` has {len(chosen)}, {list(chosen.names)}"
            )
        return chosen

    def _fault(self, entry: CocoAnnotation, image: int) -> str:
        if fault := super()._fault(entry, image):
            return fault
        index = self._category_index[entry.category_id]
        points = None if self._num_keypoints[index] else decode_keypoints(entry.keypoints)
        if points is not None:
            fitting = [s for s in keypoint_set_names() if len(keypoint_set(s)) == len(points)]
            raise self._fatal(
                f"its annotations of {self.categories[index]!r} have {len(points)} keypoints, and "
                "nothing says what they are. Name their set by the option `keypoints`: a JSON file"
                f"{''.join(f', or {name}' for name in fitting)}"
            )
        return ""


def _named_set(written: Sequence[str], skeleton: msgspec.Raw) -> KeypointSet:
    """The set of a category that names its points, as far as it is known."""
    names = KeypointSet(tuple(map(keypoint_words, written))).names
    found = known_keypoints(names)
    limbs = _limbs(skeleton, names)
    return replace(found, limbs=limbs) if limbs else found


def _limbs(skeleton: msgspec.Raw, names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Names that a skeleton in JSON joins; none where it does not fit, as CrowdPose's, which is
    that of COCO. It counts from 1, or from 0 where a 0 is in it."""
    pairs: list[tuple[int, int]] = []
    with suppress(*DECODE_ERRORS):
        pairs = msgspec.json.decode(skeleton, type=list[tuple[int, int]])
    first = min((1, *(number for pair in pairs for number in pair)))
    if first < 0 or any(number - first >= len(names) for pair in pairs for number in pair):
        return ()
    return tuple((names[a - first], names[b - first]) for a, b in pairs)
