"""What `superlink finetune` will do: data that are looked through and dealt out, and a recipe."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..data import read_coco
from ..data.coco_split import split_keys, write_coco_part
from ..errors import ConfigError, InputError
from ..inspection.opening import OpenedSet, open_set
from ..inspection.validation import Finding, check_records
from ..registry import default_registry
from ..training import DataChoice, Recipe, load_recipe
from ..training.finetuning import finetune_recipe, steps_in, write_recipe

__all__ = ["Plan", "Request", "make_plan"]

_ASKED, _RECIPE = "finetune.json", "recipe.yaml"
_STEPS = 500
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


@dataclass(frozen=True)
class Plan:
    """What will be done."""

    recipe: Recipe
    """What is trained; it lies in the run as `recipe.yaml`."""
    training: DataChoice
    """The images to train on, as they are measured."""
    held_out: DataChoice
    """The images to measure on."""
    num_images: tuple[int, int]
    """Of both."""
    objects: Mapping[str, tuple[int, int]]
    """Class to its objects in both."""
    left_out: Mapping[str, int]
    """What is wrong with items that are left out, and with how many."""

    def missing(self) -> list[str]:
        """Classes that nothing can be learnt of: no training image shows one."""
        return [name for name, (number, _) in self.objects.items() if not number]


def make_plan(request: Request, output: Path, command: str, track: Tracker) -> Plan:
    """Prepare a run in `output`, or read what was prepared there by the same request.

    Raises:
        ConfigError: Parts of the request exclude each other.
        InputError: `output` holds another run, or there is nothing to learn or to measure.
    """
    asked = json.loads(json.dumps(asdict(request)))
    path = output / _ASKED
    if path.is_file():
        written = json.loads(path.read_text(encoding="utf-8"))
        if written["asked"] != asked:
            raise InputError(
                f"{output} holds another fine-tuning{_difference(written['asked'], asked)}. "
                "Repeat that command to go on with it, or choose another --output."
            )
        return _read_plan(request, output, written["left_out"])
    if (output / "recipe.json").exists() or (output.exists() and not output.is_dir()):
        raise InputError(f"{output} is no run of `superlink finetune`. Choose another --output.")
    findings = _write_data(request, output, track)
    left_out = dict(Counter(finding.reason for finding in findings).most_common())
    _count_parts(request, output)  # nothing to learn from: told before a recipe is tried out
    _write_recipe(request, output, command)
    plan = _read_plan(request, output, left_out)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({"asked": asked, "left_out": left_out}, indent=2), encoding="utf-8")
    fresh.replace(path)
    return plan


def _write_data(request: Request, output: Path, track: Tracker) -> list[Finding]:
    """Write the COCO files of both parts; what is broken stays out of them."""
    source, classes = Path(request.annotations), request.classes or None
    keys, findings = _whole(_choice(source, request.images, request.masks), track)
    if request.val_annotations is None:
        if not 0 < request.val_share < 1:
            raise ConfigError(
                "--val-share lies between 0 and 1, as 0.2 for every fifth image. "
                f"Received: {request.val_share}"
            )
        keys, held_out = split_keys(keys, request.val_share, request.seed)
        other = source
    else:
        other = Path(request.val_annotations)
        choice = _choice(other, request.val_images or request.images, request.masks)
        held_out, more = _whole(choice, track)
        findings += more
    _file(output, "train").parent.mkdir(parents=True, exist_ok=True)
    write_coco_part(source, _file(output, "train"), set(keys), classes)
    write_coco_part(other, _file(output, "val"), set(held_out), classes)
    return findings


def _whole(choice: DataChoice, track: Tracker) -> tuple[list[str], list[Finding]]:
    """Keys of the images that can be read, and what is wrong with all else."""
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
    return keys, findings


def _write_recipe(request: Request, output: Path, command: str) -> None:
    train = _file(output, "train")
    categories = read_coco(train, request.images, broken="skip").categories

    def write(steps: int) -> Recipe:
        recipe = finetune_recipe(
            request.model,
            train.resolve(),
            request.images,
            categories,
            name=output.resolve().name,
            steps=steps,
            masks=request.masks,
            seed=request.seed,
        )
        return write_recipe(recipe, output / _RECIPE, command, request.changes)

    recipe = write(request.steps or _STEPS)
    if request.minutes is not None:
        write(steps_in(recipe, request.minutes))


def _read_plan(request: Request, output: Path, left_out: Mapping[str, int]) -> Plan:
    train, held_out = _parts(request, output)
    (num_train, here), (num_held_out, there) = _count_parts(request, output)
    objects = {name: (here[name], there[name]) for name in dict.fromkeys([*here, *there])}
    recipe = load_recipe(output / _RECIPE)
    return Plan(recipe, train, held_out, (num_train, num_held_out), objects, left_out)


def _parts(request: Request, output: Path) -> tuple[DataChoice, DataChoice]:
    folder = request.val_images or request.images
    return (
        _choice(_file(output, "train"), request.images, request.masks),
        _choice(_file(output, "val"), folder, request.masks),
    )


def _count_parts(request: Request, output: Path) -> list[tuple[int, Counter[str]]]:
    counted = [_objects(choice) for choice in _parts(request, output)]
    for purpose, (_, found) in zip(("train", "measure"), counted, strict=True):
        if not found:
            raise InputError(
                f"{request.annotations} names no category. Its `categories` give each class an id "
                "and a name; annotations refer to them by `category_id`."
            )
        if not found.total():
            raise InputError(_nothing_to_find(request, purpose))
    return counted


def _objects(choice: DataChoice) -> tuple[int, Counter[str]]:
    """Number of images, and of the objects of each class."""
    options = {**choice.options, "masks": False}
    records = read_coco(**options)
    counts = Counter(dict.fromkeys(records.categories, 0))
    for record in records:
        counts.update(item.name for item in record.objects)
    return len(records), counts


def _nothing_to_find(request: Request, purpose: str) -> str:
    wanted = f" of {', '.join(request.classes)}" if request.classes else ""
    return (
        f"No image to {purpose} on shows an object{wanted}: there are no annotations, or they lie "
        f"on images that are missing or broken. Received: {request.annotations}, images in "
        f"{request.images}. `superlink data validate coco:FILE --images FOLDER` says what is "
        "wrong; --classes, --val-share and --seed choose other images."
    )


def _choice(annotations: Path, images: str, masks: bool) -> DataChoice:
    options = {"annotations": str(annotations), "images": images, "masks": masks, "broken": "skip"}
    conversation = {"masks": True} if masks else {}
    return DataChoice(task="detection", format="coco", options=options, conversation=conversation)


def _file(output: Path, part: str) -> Path:
    return output / "data" / f"{part}.json"


def _difference(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    names: Sequence[str] = sorted(k for k in wanted if found.get(k) != wanted[k])
    told = ", ".join(f"{k} was {found.get(k)!r} and is {wanted[k]!r}" for k in names)
    return f": {told}" if told else ""
