"""What `superlink finetune` will do: its data, its recipe, and whose the folder of a run is."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ..data import read_coco
from ..errors import ConfigError, InputError
from ..training import DataChoice, Recipe, load_recipe
from ..training.changes import changes
from ..training.finetuning import finetune_recipe, steps_in, write_recipe
from .finetune_data import (
    Request,
    Tracker,
    check_masks,
    count_parts,
    part_file,
    parts,
    write_data,
)

__all__ = ["Plan", "make_plan"]

_ASKED, _RECIPE = "finetune.json", "recipe.yaml"
_STEPS = 500


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
    warnings: Sequence[str]
    """What is kept and looks wrong."""

    def missing(self) -> list[str]:
        """Classes that nothing can be learnt of: no training image shows one."""
        return [name for name, (number, _) in self.objects.items() if not number]


def make_plan(
    request: Request, output: Path, command: str, track: Tracker, *, claim: bool = True
) -> Plan:
    """Prepare a run in `output`, or read what was prepared there by the same request.

    Args:
        request: What was asked for.
        output: The folder of the run.
        command: What asked for it, for the recipe's first line.
        track: Puts a bar in front of items that take long.
        claim: Whether the folder is this request's from now on. What is prepared without that is
            written over by the next one.

    Raises:
        ConfigError: Parts of the request exclude each other.
        InputError: `output` holds another run, or there is nothing to learn or to measure.
    """
    _check(request)
    asked = json.loads(json.dumps(asdict(request)))
    path = output / _ASKED
    if path.is_file():
        written = json.loads(path.read_text(encoding="utf-8"))
        if written["asked"] != asked:
            raise InputError(
                f"{output} holds another fine-tuning: {changes(written['asked'], asked)}. "
                "Repeat that command to go on with it, or choose another --output."
            )
        return _read_plan(request, output, written["left_out"], written.get("warnings", ()))
    if (output / "recipe.json").exists() or (output.exists() and not output.is_dir()):
        raise InputError(f"{output} is no run of `superlink finetune`. Choose another --output.")
    findings, warnings = write_data(request, output, track)
    left_out = dict(Counter(finding.reason for finding in findings).most_common())
    # Nothing to learn from: told before a recipe is tried out.
    count_parts(request, output, left_out)
    if request.masks:
        check_masks(request, output)
    _write_recipe(request, output, command)
    plan = _read_plan(request, output, left_out, warnings)
    if claim:
        fresh = path.with_suffix(".new")
        content = {"asked": asked, "left_out": left_out, "warnings": warnings}
        fresh.write_text(json.dumps(content, indent=2), encoding="utf-8")
        fresh.replace(path)
    return plan


def _check(request: Request) -> None:
    """Raise where an argument can be used in no run."""
    if request.val_annotations is None and not 0 < request.val_share < 1:
        raise ConfigError(
            "--val-share lies between 0 and 1, as 0.2 for every fifth image. "
            f"Received: {request.val_share}"
        )
    if request.minutes is not None and not request.minutes > 0:
        raise ConfigError(f"--minutes is more than 0. Received: {request.minutes}")


def _write_recipe(request: Request, output: Path, command: str) -> None:
    train = part_file(output, "train")
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


def _read_plan(
    request: Request, output: Path, left_out: Mapping[str, int], warnings: Sequence[str]
) -> Plan:
    train, held_out = parts(request, output)
    (num_train, here), (num_held_out, there) = count_parts(request, output, left_out)
    objects = {name: (here[name], there[name]) for name in dict.fromkeys([*here, *there])}
    recipe = load_recipe(output / _RECIPE)
    return Plan(recipe, train, held_out, (num_train, num_held_out), objects, left_out, warnings)
