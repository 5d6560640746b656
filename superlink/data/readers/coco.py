"""Reading annotations in COCO's JSON form.

Numbers go into columns when a set is opened; masks stay text until their record is asked for.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from ...errors import InputError
from ...interfaces.images import MAX_PIXELS, open_image
from ..problems import BrokenPolicy, Problems
from ..records import Records
from ..rle import decode_segmentation_json
from ..schema import AnnotatedImage, AnnotatedObject
from .coco_columns import CocoColumns
from .coco_entries import (
    CocoAnnotation,
    CocoCategory,
    CocoContent,
    CocoImage,
    Id,
    Identity,
    ObjectReference,
    cut_box,
    decode_keypoints,
    empty_doubles,
    keypoints_fault,
    polygons_fault,
    runs_fault,
)
from .files import DECODE_ERRORS, present_files, read_items, read_json, refuse_empty

__all__ = ["CocoDataset", "read_coco"]

_ROUNDING = 1.0
"""Pixels by which boxes end outside of their image where nothing is wrong with them."""


def read_coco(
    annotations: str | Path,
    images: str | Path,
    *,
    masks: bool = False,
    broken: BrokenPolicy = "error",
) -> CocoDataset:
    """Read an `instances` or `person_keypoints` file of COCO.

    Boxes become (x1, y1, x2, y2) and are cut at the image; those without an area, or outside of
    the image, are left out. Crowds are `ignored`. A class of which an image shows nothing but
    crowds and boxes left out is not among its `categories`: it is neither present nor absent. Of
    an image of which nothing else is known, classes whose boxes have no area count as absent, and
    one of which nothing is known at all is left out.

    Args:
        annotations: The JSON file.
        images: The folder that its file names are relative to.
        masks: Whether to decode the segmentations; polygons need pycocotools.
        broken: `error` raises at what is wrong with an image or an annotation; `skip` leaves it
            out and counts it.

    Raises:
        InputError: A file is missing, broken, or does not hold together.
    """
    return CocoDataset(Path(annotations), Path(images), masks=masks, broken=broken)


class CocoDataset(Records[AnnotatedImage]):
    """The images of a COCO file, in its order; see `read_coco`."""

    what: ClassVar[str] = "COCO file"
    """How errors call the file."""
    image_type: ClassVar[type[CocoImage]] = CocoImage
    """What an entry of `images` is decoded to."""
    categories: tuple[str, ...]
    """Every name of the file."""

    def __init__(self, path: Path, folder: Path, *, masks: bool, broken: BrokenPolicy) -> None:
        self.path, self.folder = path, folder
        self.problems = Problems(broken)
        self._files: list[str] = []
        self._keys: list[str] = []
        self._sizes: list[tuple[int, int] | None] = []
        self._captions: dict[int, str] = {}
        # Categories of some images: those that are known, where not all are; those of which an
        # annotation was left out; those of them where it was broken;
        # and those of which it may show more than are annotated.
        self._known: dict[int, tuple[int, ...]] = {}
        self._unsure: dict[int, set[int]] = {}
        self._lost: dict[int, set[int]] = {}
        self._incomplete: dict[int, tuple[int, ...]] = {}
        content = read_json(path, CocoContent, self.what)
        self._read_categories(content.categories, content.annotations)
        self._read_images(content.images)
        refuse_empty(len(self._files), path, self.problems)
        self._columns = CocoColumns(masks=masks)
        self._num_cut = 0
        self._read_annotations(content.annotations)
        self._warn(len(content.annotations))
        self._columns.sort(len(self._files))
        self._kept = self._find_known()
        refuse_empty(len(self), path, self.problems)

    def __len__(self) -> int:
        return len(self._kept)

    def record(self, index: int) -> AnnotatedImage:
        """The image at `index`, with its objects."""
        index = self._kept[index]
        path = self.folder / self._files[index]
        size = self._sizes[index] or open_image(path).size
        objects: list[AnnotatedObject] = []
        ignored: list[AnnotatedObject] = []
        for row in self._columns.rows(index):
            if (item := self._object(index, row, size)) is not None:
                (ignored if self._columns.crowds[row] else objects).append(item)
        names = self._vocabulary(index, {item.name for item in objects}, bool(ignored))
        return AnnotatedImage(
            image=path,
            objects=tuple(objects),
            categories=names,
            key=self._keys[index],
            caption=self._captions.get(index, ""),
            size=size,
            ignored=tuple(ignored),
            synonyms={name: self._synonyms[name] for name in names if name in self._synonyms},
        )

    def key(self, index: int) -> str:
        """The key of the image at `index`."""
        return self._keys[self._kept[index]]

    def classes_of(self, index: int) -> tuple[set[str], set[str], set[str]]:
        """Classes that the image at `index` has objects of, crowds of, and broken annotations of.

        Masks are not decoded. The image is opened where the file does not say its size.
        """
        index = self._kept[index]
        found = self._columns
        size = self._sizes[index] or open_image(self.folder / self._files[index]).size
        classes: tuple[set[str], set[str], set[str]] = (set(), set(), set())
        for row in found.rows(index):
            if cut_box(found.boxes[4 * row : 4 * row + 4], size) is not None:
                classes[found.crowds[row]].add(self.categories[found.categories[row]])
        classes[2].update(self.categories[number] for number in self._lost.get(index, ()))
        return classes

    def _vocabulary(self, index: int, present: set[str], crowded: bool) -> tuple[str, ...]:
        """What is known to be in an image, or not to be in it."""
        everything = index not in self._known
        unsure, known = self._unsure.get(index, set()), self._known.get(index)
        if known is None:
            found = (self._columns.categories[row] for row in self._columns.rows(index))
            unsure, known = unsure.union(found), tuple(range(len(self.categories)))
        chosen = [name for i in known if (name := self.categories[i]) in present or i not in unsure]
        if everything and not chosen and not crowded:
            # Looked for, and nothing found but boxes without a pixel: as good as absent.
            empty = unsure - self._lost.get(index, set())
            chosen = [self.categories[number] for number in sorted(empty)]
        return tuple(dict.fromkeys([*chosen, *sorted(present)]))

    def _find_known(self) -> array[int]:
        """The images of which something is known; the others can be asked nothing."""
        kept = array("q")
        for index, key in enumerate(self._keys):
            doubtful = index in self._known or index in self._unsure
            if doubtful and not self._columns.rows(index):
                if not self._vocabulary(index, set(), crowded=False):
                    reason = "nothing is known of it"
                    self.problems.add(self.path, f"image {key}", reason, harmless=True)
                    continue
            kept.append(index)
        return kept

    def display_name(self, name: str) -> str:
        """How a category, or another word for it, is called in records."""
        return name

    def _attributes(self, index: int, row: int) -> Mapping[str, Any]:
        """What else is known of the object in `row`, of the image at `index`."""
        known = self._columns.attributes.get(row, {})
        if self._columns.categories[row] in self._incomplete.get(index, ()):
            return {**known, "exhaustive": False}
        return known

    def _fatal(self, reason: str) -> InputError:
        return InputError(f"{self.path.name} is no usable {self.what}: {reason}. File: {self.path}")

    def _read_categories(self, entries: Sequence[CocoCategory], raw: Sequence[msgspec.Raw]) -> None:
        names = [self.display_name(str(entry.name)) for entry in entries]
        doubles = empty_doubles(entries, names, raw)
        for index in doubles:
            reason = "another category has its name, and it has no annotations"
            item = f"category {entries[index].id}"
            self.problems.add(self.path, item, reason, harmless=True)
        entries = [entry for index, entry in enumerate(entries) if index not in doubles]
        # `Polo` and `polo` may be two things: names are told apart as they are written.
        self.categories = tuple(name for i, name in enumerate(names) if i not in doubles)
        self._category_index = {entry.id: index for index, entry in enumerate(entries)}
        if len(set(self.categories)) != len(entries) or len(self._category_index) != len(entries):
            raise self._fatal("two categories share an id or a name")
        if not all(map(str.strip, self.categories)):
            raise self._fatal("a category has no name")
        self._num_keypoints = [len(entry.keypoints or ()) for entry in entries]
        self._synonyms = {}
        for name, entry in zip(self.categories, entries, strict=True):
            words = dict.fromkeys(map(self.display_name, entry.synonyms))
            if others := tuple(word for word in words if word != name):
                self._synonyms[name] = others

    def _read_images(self, raw: Sequence[msgspec.Raw]) -> None:
        self._image_index: dict[Id, int | None] = {}  # None where it is left out
        images = []
        for _, image in read_items(
            self.path, raw, self.image_type, "images", self.problems, left_out=self._drop_image
        ):
            if image.id in self._image_index:
                raise self._fatal(f"two images share the id {image.id!r}")
            self._image_index[image.id] = None
            if fault := self._image_fault(image):
                self.problems.add(self.path, f"image {image.id}", fault)
            else:
                images.append(image)
        names = [image.file_names() for image in images]
        present = present_files(self.folder, chain.from_iterable(names))
        for image, candidates in zip(images, names, strict=True):
            found = next((name for name in candidates if name in present), None)
            if found is not None:
                self._keep_image(image, found)
                continue
            reason = f"its image is not in the folder {self.folder}"
            self.problems.add(self.path, f"image {image.id} ({candidates[0]})", reason)

    def _keep_image(self, image: CocoImage, file_name: str) -> None:
        self._image_index[image.id] = index = len(self._files)
        self._files.append(file_name)
        self._keys.append(str(image.file_names()[0] if image.key is None else image.key))
        width, height = int(image.width or 0), int(image.height or 0)
        self._sizes.append((width, height) if width and height else None)
        if image.caption:
            self._captions[index] = image.caption
        if (known := image.known_categories()) is not None:
            self._known[index] = tuple(self._category_index[number] for number in known)
        if incomplete := image.not_exhaustive_category_ids:
            self._incomplete[index] = tuple(self._category_index[number] for number in incomplete)

    def _drop_image(self, raw: msgspec.Raw) -> None:
        """Let the annotations of a broken image go with it."""
        with suppress(*DECODE_ERRORS):
            self._image_index.setdefault(msgspec.json.decode(raw, type=Identity).id, None)

    def _image_fault(self, image: CocoImage) -> str:
        sides = [side for side in (image.width, image.height) if side is not None]
        if any(side < 1 or side % 1 for side in sides):
            return "its width and height are not whole numbers from 1 on"
        if math.prod(sides) > MAX_PIXELS:
            return f"it has more than {MAX_PIXELS} pixels"
        named = {*(image.known_categories() or ()), *image.not_exhaustive_category_ids}
        if not self._category_index.keys() >= named:
            return "it names an unknown category"
        return ""

    def _read_annotations(self, raw: Sequence[msgspec.Raw]) -> None:
        seen: set[Id] = set()
        for number, entry in read_items(
            self.path, raw, CocoAnnotation, "annotations", self.problems, left_out=self._drop_raw
        ):
            image = self._image_index.get(entry.image_id, -1)
            if image is None:
                continue
            doubled = entry.id in seen
            entry.id = f"at index {number}" if entry.id is None else entry.id
            seen.add(entry.id)
            if fault := "another annotation has its id" if doubled else self._fault(entry, image):
                self._drop(entry, fault)
            else:
                self._keep(entry, image)

    def _keep(self, entry: CocoAnnotation, image: int) -> None:
        x, y, width, height = entry.bbox
        size = self._sizes[image] or (math.inf, math.inf)
        box = cut_box((x, y, x + width, y + height), size)
        if not (x + width > x and y + height > y):
            self._drop(entry, "its box has no area", harmless=True)
        elif box is None:
            self._drop(entry, "its box lies outside of the image", harmless=True)
        else:
            ends = x + width - size[0], y + height - size[1]
            self._num_cut += max(-x, -y, *ends) > _ROUNDING
            self._columns.append(image, self._category_index[entry.category_id], box, entry)

    def _warn(self, number: int) -> None:
        """Tell what is kept of so many annotations and looks wrong."""
        if not number:
            self.problems.warnings["no annotations"] = (
                f"{self.path} has no annotations: every class of it counts as absent from its "
                "images, and nothing can be learnt but to find nothing."
            )
        if self._num_cut:
            boxes = "1 box ends" if self._num_cut == 1 else f"{self._num_cut:,} boxes end"
            self.problems.warnings["cut boxes"] = (
                f"{boxes} outside of the image, of {number:,} in {self.path}; what lies outside is "
                "cut off. COCO's boxes are x, y, width, height: where many end outside, they are "
                "probably written as x1, y1, x2, y2, or the pictures were resized."
            )

    def num_without_mask(self) -> tuple[int, int]:
        """How many objects have no `segmentation`, and how many there are; crowds do not count.

        Of a set that was read with `masks`.
        """
        texts = self._columns.segmentations
        rows = [row for row, crowd in enumerate(self._columns.crowds) if not crowd]
        bare = sum(texts[row].strip(b"[] \n\r\t") in (b"", b"null") for row in rows)
        return bare, len(rows)

    def _fault(self, entry: CocoAnnotation, image: int) -> str:
        if entry.image_id not in self._image_index:
            return "it names an unknown image"
        if entry.category_id not in self._category_index:
            return "it names an unknown category"
        if entry.area is not None and entry.area < 0:
            return "its area is negative"
        if self._columns.masks:
            written = entry.segmentation
            if fault := polygons_fault(written) or runs_fault(written, self._sizes[image]):
                return fault
        return keypoints_fault(
            entry.keypoints, self._num_keypoints[self._category_index[entry.category_id]]
        )

    def _drop_raw(self, raw: msgspec.Raw) -> None:
        with suppress(*DECODE_ERRORS):
            entry = msgspec.json.decode(raw, type=ObjectReference)
            self._doubt(entry, self._lost)
            self._doubt(entry, self._unsure)

    def _drop(self, entry: CocoAnnotation, reason: str, *, harmless: bool = False) -> None:
        self.problems.add(self.path, f"annotation {entry.id}", reason, harmless=harmless)
        if not harmless:
            self._doubt(entry, self._lost)
        self._doubt(entry, self._unsure)

    def _doubt(self, entry: ObjectReference, where: dict[int, set[int]]) -> None:
        """Remember that an image may show a class: an annotation of it is left out."""
        image = self._image_index.get(entry.image_id)
        category = self._category_index.get(entry.category_id)
        if image is not None and category is not None:
            where.setdefault(image, set()).add(category)

    def _object(self, index: int, row: int, size: tuple[int, int]) -> AnnotatedObject | None:
        """The object in `row`, of the image at `index`; None where it lies outside of it."""
        found, (width, height) = self._columns, size
        box = cut_box(found.boxes[4 * row : 4 * row + 4], size)
        if box is None:
            return None
        try:
            mask = decode_segmentation_json(found.segmentations[row], height, width)
        except InputError as error:
            raise InputError(
                f"The segmentation of annotation {found.ids[row]} in {self.path}: {error} "
                f"Image: {self._files[index]}"
            ) from error
        return AnnotatedObject(
            name=self.categories[found.categories[row]],
            bbox=box,
            mask=mask,
            keypoints=decode_keypoints(found.keypoints[row]),
            attributes=self._attributes(index, row),
            area=None if math.isnan(found.areas[row]) else found.areas[row],
        )
