"""Reading RefCOCO, RefCOCO+ and RefCOCOg: expressions that refer to objects of COCO."""

from __future__ import annotations

from collections.abc import Sequence, Set
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec
import numpy as np

from ...errors import InputError
from ..problems import BrokenPolicy, Problems
from ..records import Records
from ..rle import decode_segmentation_json
from ..schema import AnnotatedObject, Mask, ReferringImage
from .files import RawColumn, keep_present, read_items, read_json, refuse_empty
from .refcoco_pickle import FORMAT, VERSION, Reference, References

__all__ = ["RefcocoDataset", "read_refcoco"]


class _WithId(Protocol):
    @property
    def id(self) -> int: ...


Item = TypeVar("Item", bound=_WithId)


def read_refcoco(
    annotations: str | Path,
    images: str | Path,
    *,
    instances: str | Path,
    split: str = "val",
    masks: bool = True,
    broken: BrokenPolicy = "error",
) -> RefcocoDataset:
    """Read what people said of objects of COCO, one record for each sentence.

    Args:
        annotations: The JSON that `superlink data convert` makes of a published pickle.
        images: The folder of COCO's images, as train2014.
        instances: The instances.json of the data set, or COCO's own of the same images.
        split: `train`, `val`, and what the data set has besides: `testA`, `testB`, `test`.
        masks: Whether to decode masks; polygons need pycocotools.
        broken: What to do with a reference that cannot be used: `error` raises, `skip` leaves it
            out and counts it.

    Raises:
        InputError: A file is missing or something else, a reference is broken under `error`, or
            the split is not there.
    """
    path = Path(annotations)
    if path.suffix in (".p", ".pkl", ".pickle"):
        raise InputError(
            f"Pickles can run code, so {path.name} is converted once: superlink data convert "
            f"refs:'{path}' --output refs.json. Then give refs.json as annotations."
        )
    problems = Problems(broken)
    refs = _read_references(path, split, problems)
    return RefcocoDataset(path, Path(images), Path(instances), refs, masks, problems)


class RefcocoDataset(Records[ReferringImage]):
    """The sentences of one split, in the order of the file; see `read_refcoco`."""

    def __init__(
        self,
        path: Path,
        folder: Path,
        instances: Path,
        refs: Sequence[Reference],
        masks: bool,
        problems: Problems,
    ) -> None:
        self.folder, self.instances = folder, instances
        self.masks, self.problems = masks, problems
        known = _Instances(instances, refs, problems)
        refs = [ref for ref in refs if _usable(path, ref, known, problems)]
        files = [known.images[ref.image_id].file_name for ref in refs]
        kept = keep_present(path, folder, files, problems, [f"ref {ref.ref_id}" for ref in refs])
        self._refs = [(files[i], refs[i].ann_id, known.images[refs[i].image_id]) for i in kept]
        self._names = [known.categories[known.objects[refs[i].ann_id].category_id] for i in kept]
        self._boxes = np.array([known.objects[refs[i].ann_id].bbox for i in kept]).reshape(-1, 4)
        self._segmentations = RawColumn(
            [known.objects[refs[i].ann_id].segmentation for i in kept] if masks else []
        )
        said = [(owner, said) for owner, i in enumerate(kept) for said in refs[i].sentences]
        self._owners = np.array([owner for owner, _ in said], np.int64)  # (sentences,)
        self._ids = np.array([sentence.sent_id for _, sentence in said], np.int64)
        self._texts = [sentence.sent for _, sentence in said]
        refuse_empty(len(self), path, problems, "expression")

    def __len__(self) -> int:
        return len(self._texts)

    def record(self, index: int) -> ReferringImage:
        """One sentence with its object.

        Raises:
            InputError: The mask of the object cannot be decoded.
        """
        owner = self._owners[index]
        file_name, _, image = self._refs[owner]
        x1, y1, x2, y2 = _corners(self._boxes[owner].tolist(), image)
        item = AnnotatedObject(self._names[owner], (x1, y1, x2, y2), self._mask(owner))
        return ReferringImage(
            image=self.folder / file_name,
            expression=self._texts[index],
            objects=(item,),
            key=f"{file_name}#{self._ids[index]}",
            size=(image.width, image.height),
        )

    def _mask(self, owner: int) -> Mask | None:
        if not self.masks:
            return None
        _, ann_id, image = self._refs[owner]
        try:
            mask = decode_segmentation_json(self._segmentations[owner], image.height, image.width)
        except InputError as error:
            raise InputError(f"annotation {ann_id} in {self.instances}: {error}") from error
        if mask is None:
            raise InputError(
                f"Masks are wanted, and annotation {ann_id} in {self.instances} has none. "
                "Set masks=false."
            )
        return mask


class _Image(msgspec.Struct, frozen=True, gc=False):
    id: int
    file_name: str
    width: int
    height: int


class _Category(msgspec.Struct, frozen=True):
    id: int
    name: str


class _Object(msgspec.Struct, frozen=True):
    id: int
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    segmentation: msgspec.Raw = msgspec.Raw()


class _Content(msgspec.Struct):
    images: list[msgspec.Raw]
    annotations: list[msgspec.Raw]
    categories: list[_Category]


class _Id(msgspec.Struct, gc=False):
    id: int


class _Instances:
    """What the references need of a file of COCO's instances."""

    def __init__(self, path: Path, refs: Sequence[Reference], problems: Problems) -> None:
        content = read_json(path, _Content, "file of instances")
        self.categories = {entry.id: entry.name for entry in content.categories}
        self.images = _wanted(
            path, content.images, _Image, "images", {ref.image_id for ref in refs}, problems
        )
        self.objects = _wanted(
            path,
            content.annotations,
            _Object,
            "annotations",
            {ref.ann_id for ref in refs},
            problems,
        )


def _wanted(
    path: Path,
    raw: Sequence[msgspec.Raw],
    type: type[Item],
    name: str,
    ids: Set[int],
    problems: Problems,
) -> dict[int, Item]:
    """The items with these ids; only they are decoded to the end."""
    chosen = [raw[i] for i, item in read_items(path, raw, _Id, name, problems) if item.id in ids]
    return {item.id: item for _, item in read_items(path, chosen, type, f"{name} used", problems)}


def _read_references(path: Path, split: str, problems: Problems) -> list[Reference]:
    content = read_json(path, References, "JSON of references")
    if (content.format, content.version) != (FORMAT, VERSION):
        raise InputError(
            f"Expected the format {FORMAT!r}, version {VERSION}. Received: {content.format!r}, "
            f"version {content.version} in {str(path)!r}. Convert the pickle again."
        )
    found = [ref for _, ref in read_items(path, content.refs, Reference, "refs", problems)]
    chosen = [ref for ref in found if ref.split == split]
    if not chosen:
        raise InputError(
            f"No reference is of the split {split!r} in {str(path)!r}. "
            f"Choose from {sorted({ref.split for ref in found})}"
        )
    return chosen


def _usable(path: Path, ref: Reference, known: _Instances, problems: Problems) -> bool:
    """Whether a reference holds together; otherwise it becomes a problem."""
    image, item = known.images.get(ref.image_id), known.objects.get(ref.ann_id)
    fault, harmless = "", False
    if image is None:
        fault = "its image is not among the instances"
    elif item is None:
        fault = "its annotation is not among the instances"
    elif item.image_id != ref.image_id:
        fault = "its annotation is of another image"
    elif item.category_id not in known.categories:
        fault = "its category is not among the instances"
    elif not all(sentence.sent.strip() for sentence in ref.sentences):
        fault = "a sentence of it is empty"
    else:
        x1, y1, x2, y2 = _corners(item.bbox, image)
        if x1 >= x2 or y1 >= y2:
            fault, harmless = "its box has no area inside of the image", True
    if fault:
        problems.add(path, f"ref {ref.ref_id}", fault, harmless=harmless)
    return not fault


def _corners(bbox: Sequence[float], image: _Image) -> tuple[float, float, float, float]:
    """x, y, width, height as corners, cut at the image."""
    x, y, width, height = bbox
    return max(0.0, x), max(0.0, y), min(image.width, x + width), min(image.height, y + height)
