"""The data of a fine-tuning: looked through, dealt out in two COCO files, and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data import read_coco
from ..data.coco_split import split_keys, write_coco_part
from ..errors import InputError
from ..inspection.opening import OpenedSet, open_set
from ..inspection.validation import Finding, check_records
from ..registry import default_registry
from ..training import DataChoice

__all__ = ["Request", "Tracker", "check_masks", "count_parts", "part_file", "parts", "write_data"]

Tracker = Callable[[Iterable[Any], str, int], Iterable[Any]]
"""Puts a bar in front of items: their name and their number."""


@dataclass(frozen=True)
class Request:
    """What was asked for; all paths are whole."""

    model: str
    """The checkpoint to start from."""
    annotations: str
    """COCO file."""
    images: str
    """Folder of its images."""
    val_annotations: str | None
    """COCO file of the images to measure on; None holds some of the others out."""
    val_images: str | None
    """Folder of these images; None: the same."""
    val_share: float
    """Which share is held out."""
    classes: tuple[str, ...]
    """What is to be found; nothing takes all classes."""
    masks: bool
    """Whether to train masks as well."""
    seed: int
    """Of the split and the training."""
    steps: int | None
    """Steps on the images."""
    minutes: float | None
    """Time for them, where no steps are given."""
    changes: tuple[str, ...]
    """Of the recipe, as KEY=VALUE."""


def write_data(request: Request, output: Path, track: Tracker) -> tuple[list[Finding], list[str]]:
    """Write the COCO files of both parts; what is broken stays out of them, and is returned with
    what looks wrong.

    Raises:
        ConfigError: A class is asked for that is not there.
        InputError: No image can be read, or there are too few.
    """
    source, classes = Path(request.annotations), request.classes or None
    keys, findings, warnings = _whole(_choice(source, request.images, request.masks), track)
    if request.val_annotations is None:
        keys, held_out = split_keys(keys, request.val_share, request.seed)
        other = source
    else:
        other = Path(request.val_annotations)
        choice = _choice(other, request.val_images or request.images, request.masks)
        held_out, more, told = _whole(choice, track)
        findings, warnings = findings + more, warnings + told
    part_file(output, "train").parent.mkdir(parents=True, exist_ok=True)
    write_coco_part(source, part_file(output, "train"), set(keys), classes)
    write_coco_part(other, part_file(output, "val"), set(held_out), classes)
    return findings, warnings


def _whole(choice: DataChoice, track: Tracker) -> tuple[list[str], list[Finding], list[str]]:
    """Keys of the images that can be read, what is wrong with all else, and what looks wrong."""
    opened: OpenedSet = open_set(choice, default_registry(), {"broken": "skip"})
    records: Any = opened.records
    source = str(choice.options["annotations"])
    checks = check_records(records, range(len(records)), source=source)
    keys, findings = [], list(opened.left_out)
    for index, finding in enumerate(track(checks, "Reading images", len(records))):
        if finding is None:
            keys.append(records.key(index))
        else:
            findings.append(finding)
    if not keys:
        raise InputError(
            f"None of the {len(records)} images of {source} can be read. The first: "
            f"{findings[-1]}. `superlink data validate` lists them all."
        )
    return keys, findings, opened.warnings


def check_masks(request: Request, output: Path) -> None:
    """Raise where an object that is to be learnt or measured has no mask.

    Raises:
        InputError: Some have none.
    """
    counted = [read_coco(**one.options).num_without_mask() for one in parts(request, output)]
    bare, number = map(sum, zip(*counted, strict=True))
    if bare:
        files = filter(None, (request.annotations, request.val_annotations))
        raise InputError(
            f"--masks learns the outline of every object, and {bare:,} of the {number:,} objects "
            "have none: their annotations lack a `segmentation`. Leave --masks out to learn boxes. "
            f"Received: {', '.join(files)}"
        )


def parts(request: Request, output: Path) -> tuple[DataChoice, DataChoice]:
    """What is trained on and what is held out, as they are measured."""
    folder = request.val_images or request.images
    return (
        _choice(part_file(output, "train"), request.images, request.masks),
        _choice(part_file(output, "val"), folder, request.masks),
    )


def count_parts(
    request: Request, output: Path, left_out: Mapping[str, int]
) -> list[tuple[int, Counter[str]]]:
    """For both parts the number of images, and of the objects of each class.

    Raises:
        InputError: One of them shows nothing; what was left out says why.
    """
    counted = [_objects(choice) for choice in parts(request, output)]
    for purpose, (_, found) in zip(("train", "measure"), counted, strict=True):
        if not found:
            raise InputError(
                f"{request.annotations} names no category. Its `categories` give each class an id "
                "and a name; annotations refer to them by `category_id`."
            )
        if not found.total():
            raise InputError(_nothing_to_find(request, purpose, left_out))
    return counted


def _objects(choice: DataChoice) -> tuple[int, Counter[str]]:
    """Number of images, and of the objects of each class."""
    options = {**choice.options, "masks": False}
    records = read_coco(**options)
    counts = Counter(dict.fromkeys(records.categories, 0))
    for record in records:
        counts.update(item.name for item in record.objects)
    return len(records), counts


def _nothing_to_find(request: Request, purpose: str, left_out: Mapping[str, int]) -> str:
    wanted = f" of {', '.join(request.classes)}" if request.classes else ""
    told = "; ".join(f"{number:,} x {reason}" for reason, number in left_out.items())
    why = f"What was left out: {told}" if told else "Nothing was left out; they are not annotated"
    return (
        f"No image to {purpose} on shows an object{wanted}. {why}. "
        f"Received: {request.annotations}, images in "
        f"{request.images}. `superlink data validate coco:FILE --images FOLDER` lists what is "
        "wrong; --classes, --val-share and --seed choose other images."
    )


def _choice(annotations: Path, images: str, masks: bool) -> DataChoice:
    options = {"annotations": str(annotations), "images": images, "masks": masks, "broken": "skip"}
    conversation = {"masks": True} if masks else {}
    return DataChoice(task="detection", format="coco", options=options, conversation=conversation)


def part_file(output: Path, part: str) -> Path:
    """The COCO file of a part, `train` or `val`."""
    return output / "data" / f"{part}.json"
